//! Real servers that vanish: Debian's `openssl s_server` and nginx.

use std::io::{BufRead, BufReader, Lines};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server. It ends with its value or with its parent.
pub struct Server {
    child: Child,
    says: Option<Lines<BufReader<ChildStdout>>>,
    directory: PathBuf,
    pub address: SocketAddr,
}

impl Server {
    /// Removes the server's files, which it has read once it has answered. A control that dies
    /// cannot remove them.
    pub fn is_up(&self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }

    /// Waits until it prints a line with these words, which it received.
    pub fn says(&mut self, words: &str) {
        let lines = self.says.as_mut().expect("this server prints what it receives");
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line.contains(words)));
    }

    /// Ends it at once: the kernel closes its sockets.
    pub fn kill(&mut self) {
        // SIGTERM ends all of nginx's processes.
        // SAFETY: kill takes two numbers.
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

/// A directory with a certificate and its key.
fn directory(name: &str, (certificate, key): &(String, String)) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("epipe-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("certificate.pem"), certificate).unwrap();
    std::fs::write(directory.join("key.pem"), key).unwrap();
    directory
}

fn spawn(command: &mut Command, directory: &Path) -> Child {
    command.current_dir(directory).stdin(Stdio::piped());
    // A control that dies cannot end its server.
    let die_with_parent = || {
        // SAFETY: PR_SET_PDEATHSIG takes a number.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
        Ok(())
    };
    // SAFETY: prctl is async-signal-safe.
    unsafe { command.pre_exec(die_with_parent) };
    command.spawn().unwrap()
}

/// `openssl s_server`. It prints what it receives, and sends nothing.
pub fn openssl_s_server(identity: &(String, String)) -> Server {
    let directory = directory("s_server", identity);
    let mut command = Command::new("openssl");
    command
        .args(["s_server", "-accept", "127.0.0.1:0", "-num_tickets", "0"])
        .args(["-cert", "certificate.pem", "-key", "key.pem"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = spawn(&mut command, &directory);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("ACCEPT ")?.parse().ok())
        .expect("s_server prints its address");
    Server { child, says: Some(lines), directory, address }
}

/// nginx, which answers each request with a reset (its code 444).
pub fn nginx(identity: &(String, String)) -> Server {
    let directory = directory("nginx", identity);
    // nginx inherits its socket, as in an upgrade of its binary. So a connection waits in the queue
    // until nginx has started, and the port is known.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = OwnedFd::from(listener);
    // SAFETY: F_SETFD takes a number.
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
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(&directory)
        .args(["-c", "nginx.conf", "-e", "stderr"])
        .env("NGINX", format!("{};", socket.as_raw_fd()))
        .stderr(Stdio::null());
    let child = spawn(&mut command, &directory);
    Server { child, says: None, directory, address }
}
