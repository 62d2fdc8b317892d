//! Real servers that vanish: Debian's `openssl s_server` and nginx.

use std::io::{BufRead, BufReader, Lines};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server, which ends with its value or with its parent.
pub struct Server {
    child: Child,
    says: Option<Lines<BufReader<ChildStdout>>>,
    folder: PathBuf,
    pub address: SocketAddr,
}

impl Server {
    /// It has answered, and has read its files: away with them, for a control dies without a word.
    pub fn is_up(&self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    /// Waits until it has printed a line with these words: what it was sent.
    pub fn says(&mut self, words: &str) {
        let lines = self.says.as_mut().expect("this server says something");
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line.contains(words)));
    }

    /// Ends it at once: the kernel closes its sockets.
    pub fn kill(&mut self) {
        // nginx's processes end together by this one.
        // SAFETY: it takes two numbers, and the child has not been waited for, or std remembers.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        self.is_up();
    }
}

/// Whether a program is installed.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path| path.join(program).exists())
}

/// A folder with a certificate and its key.
fn folder(name: &str, (certificate, key): &(String, String)) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("epipe-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("certificate.pem"), certificate).unwrap();
    std::fs::write(folder.join("key.pem"), key).unwrap();
    folder
}

fn spawn(command: &mut Command, folder: &Path) -> Child {
    command.current_dir(folder).stdin(Stdio::piped());
    // A control that dies leaves nobody to end its server.
    let die_with_parent = || {
        // SAFETY: the command takes a number.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
        Ok(())
    };
    // SAFETY: prctl is async-signal-safe.
    unsafe { command.pre_exec(die_with_parent) };
    command.spawn().unwrap()
}

/// `openssl s_server`. It prints what it is sent, and sends nothing.
pub fn openssl_s_server(identity: &(String, String)) -> Server {
    let folder = folder("s_server", identity);
    let mut command = Command::new("openssl");
    command
        .args(["s_server", "-accept", "127.0.0.1:0", "-num_tickets", "0"])
        .args(["-cert", "certificate.pem", "-key", "key.pem"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = spawn(&mut command, &folder);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("ACCEPT ")?.parse().ok())
        .expect("s_server tells where it listens");
    Server { child, says: Some(lines), folder, address }
}

/// nginx, which resets the connection of who asks (its code 444).
pub fn nginx(identity: &(String, String)) -> Server {
    let folder = folder("nginx", identity);
    // It inherits its socket as in an upgrade of its binary: a connection waits in the queue until
    // nginx has begun, and no port is guessed.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = OwnedFd::from(listener);
    // SAFETY: the command takes a number.
    unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFD, 0) };
    let configuration = format!(
        "daemon off; pid nginx.pid; error_log stderr;
         events {{}}
         http {{
             access_log off;
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;
             reset_timedout_connection on;
             server {{
                 listen {address} ssl;
                 ssl_certificate certificate.pem; ssl_certificate_key key.pem;
                 return 444;
             }}
         }}"
    );
    std::fs::write(folder.join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(&folder)
        .args(["-c", "nginx.conf", "-e", "stderr"])
        .env("NGINX", format!("{};", socket.as_raw_fd()))
        .stderr(Stdio::null());
    let child = spawn(&mut command, &folder);
    Server { child, says: None, folder, address }
}
