//! Checks that this program can kill a server on this machine. Its own unprotected server must die.
#![allow(unsafe_code, reason = "the server calls what a C program calls")]

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use super::args::{Options, Result};
use super::attack::Attack;
use super::gate::Gate;
use super::net::Requests;
use super::report::Report;
use super::session::{self, RunResult};
use super::volley::Volley;

/// Connects to a listener of this process. The first connections of a process are slower, because
/// of page faults.
pub fn warm_up() {
    let Ok(listener) = TcpListener::bind("127.0.0.1:0") else {
        return;
    };
    if let Ok(address) = listener.local_addr() {
        let requests = Requests { list: vec![b"x".to_vec()], tls: None };
        let volley = Volley {
            address: &address.into(),
            requests: &requests,
            attacks: &[Attack::BREATH; 8],
            patience: Duration::from_millis(100),
            whole: 1,
        };
        volley.fire(&mut Gate::new(None, 8, None), |_| {});
    }
}

/// Kills an unprotected server, which is this program again, with `--naive-server`.
pub fn run() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut naive = Command::new(std::env::current_exe()?);
    naive.arg("--naive-server").stdin(OwnedFd::from(listener));
    let mut naive = naive.spawn()?;
    let options = Options::of_self_test(address, naive.id());
    warm_up();
    let outcome = session::run(&options, &mut Report::silent());
    // This has no effect on a process that is dead already.
    let _ = naive.kill();
    let status = naive.wait()?;
    let is_killed = matches!(outcome?.result, RunResult::Killed(_));
    match status.signal() {
        Some(libc::SIGPIPE) if is_killed => Ok(()),
        Some(libc::SIGPIPE) => {
            Err("SIGPIPE killed the unprotected server, but this was not detected".into())
        }
        _ => Err("the unprotected server still runs".into()),
    }
}

/// A server as in the first chapter about sockets. Its listener is the standard input.
pub fn naive_server() -> Result<u8> {
    // SAFETY: accept takes null pointers. read and write get the local buffer, and a count that is
    // at most its length.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::alarm(60); // in case nothing else ends it
        let mut buffer = [0u8; 4096];
        loop {
            let client =
                libc::accept(io::stdin().as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut());
            if client == -1 {
                return Err(io::Error::last_os_error().into());
            }
            loop {
                let count = libc::read(client, buffer.as_mut_ptr().cast(), buffer.len());
                if count <= 0 {
                    break;
                }
                libc::usleep(20_000);
                libc::write(client, buffer.as_ptr().cast(), count as usize);
            }
            libc::close(client);
        }
    }
}
