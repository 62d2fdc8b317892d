//! What differs between systems.
#![allow(unsafe_code, reason = "calls prctl and ptrace")]

use std::io;

use socket2::Socket;

pub use follow::*;

/// Holds back the bytes sent from now on until the FIN. Before the connect, `with_handshake` also
/// holds back the acknowledgement that ends TCP's handshake.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn one_segment(socket: &Socket, with_handshake: bool) -> io::Result<()> {
    if with_handshake {
        socket.set_tcp_quickack(false)?;
    }
    socket.set_tcp_cork(true)
}

/// This system cannot hold bytes back until the FIN: each part leaves at once.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn one_segment(socket: &Socket, _: bool) -> io::Result<()> {
    socket.set_tcp_nodelay(true)
}

/// Sends the acknowledgement now. Otherwise Linux waits for up to 40 ms, and so does a server whose
/// handshake takes several writes.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn acknowledge(socket: &Socket) {
    let _ = socket.set_tcp_quickack(true);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn acknowledge(_: &Socket) {}

#[cfg(target_os = "linux")]
mod follow {
    use std::io;

    /// `/proc` has the start time of a process.
    pub const KNOWS_START_TIME: bool = true;
    /// Waits only for the children of this thread.
    pub const WAIT: i32 = libc::__WALL | libc::__WNOTHREAD;

    /// The server ends when this program is killed, also without ptrace.
    pub fn die_with_parent() {
        // SAFETY: PR_SET_PDEATHSIG takes only a number.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    }

    pub fn trace_me() -> io::Result<()> {
        // SAFETY: PTRACE_TRACEME ignores its other arguments.
        match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    pub fn is_exec(status: i32) -> bool {
        status >> 16 == libc::PTRACE_EVENT_EXEC
    }

    /// Lets a stopped thread continue. Returns the process that it has just forked.
    pub fn go_on(pid: i32, status: i32, is_followed: &mut bool) -> Option<i32> {
        let event = status >> 16;
        let signal = match libc::WSTOPSIG(status) {
            // The server has just called exec.
            libc::SIGTRAP if !*is_followed => {
                *is_followed = true;
                let options = libc::PTRACE_O_TRACEFORK
                    | libc::PTRACE_O_TRACEVFORK
                    | libc::PTRACE_O_TRACECLONE
                    | libc::PTRACE_O_TRACEEXEC
                    | libc::PTRACE_O_EXITKILL;
                // SAFETY: PTRACE_SETOPTIONS takes only numbers. `waitpid` has reported that this
                // child of this thread is stopped.
                unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
                0
            }
            // Each new thread or process begins with this stop.
            libc::SIGSTOP => 0,
            _ if event != 0 => 0,
            signal => signal,
        };
        let mut forked: libc::c_ulong = 0;
        if event == libc::PTRACE_EVENT_FORK || event == libc::PTRACE_EVENT_VFORK {
            // SAFETY: PTRACE_GETEVENTMSG writes one unsigned long, to the local variable.
            unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut forked) };
        }
        // SAFETY: PTRACE_CONT takes only numbers.
        unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, signal as libc::c_long) };
        (forked != 0).then_some(forked as i32)
    }
}

#[cfg(not(target_os = "linux"))]
mod follow {
    use std::io;

    pub const KNOWS_START_TIME: bool = false;
    pub const WAIT: i32 = 0;

    pub fn die_with_parent() {}

    pub fn trace_me() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn is_exec(_: i32) -> bool {
        false
    }

    pub fn go_on(_: i32, _: i32, _: &mut bool) -> Option<i32> {
        None
    }
}
