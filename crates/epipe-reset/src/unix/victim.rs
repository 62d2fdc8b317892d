//! Detects the death of a server that this program starts, or of a process that it watches.
#![allow(unsafe_code, reason = "starts, traces and watches processes")]

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::sys;

/// The end of one process of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    pub pid: i32,
    /// This is the process that was started, not one that it forked.
    pub is_first: bool,
    /// No process of the server is left.
    pub is_last: bool,
    /// The server forked this process, which then called exec.
    pub is_other_program: bool,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Signal(i32),
    Status(i32),
    /// The cause is not known: the process is not a child of this program.
    Vanished,
}

impl How {
    /// No server ends in this way on purpose.
    pub fn is_crash(self) -> bool {
        match self {
            How::Signal(number) => [
                libc::SIGPIPE,
                libc::SIGSEGV,
                libc::SIGABRT,
                libc::SIGBUS,
                libc::SIGILL,
                libc::SIGFPE,
                libc::SIGTRAP,
            ]
            .contains(&number),
            How::Status(number) => number == 101,
            How::Vanished => false,
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            How::Signal(libc::SIGPIPE) => f.write_str("was killed by SIGPIPE"),
            How::Signal(number) => write!(f, "was killed by signal {number}, not SIGPIPE"),
            How::Status(101) => f.write_str("exited with status 101, a Rust panic, not SIGPIPE"),
            How::Status(number) => write!(f, "exited with status {number}"),
            How::Vanished => f.write_str("is gone"),
        }
    }
}

/// A server that this program has started, in its own process group.
pub struct Spawned {
    events: Receiver<Event>,
    pid: i32,
    /// Why the processes that the server forks are not watched.
    pub untraced: Option<io::Error>,
    /// How many processes the server has forked.
    pub forks: u64,
    /// The living processes.
    processes: Vec<i32>,
}

enum Event {
    Started(io::Result<(i32, Option<io::Error>)>),
    Forked(i32),
    Death(Death),
}

impl Spawned {
    /// Starts the server with SIGPIPE's default. Its output goes to stderr.
    pub fn start(command: &[OsString]) -> io::Result<Spawned> {
        let (sender, events) = channel();
        let command = command.to_vec();
        // Only the thread that started a process may trace it.
        thread::Builder::new().name("tracer".into()).spawn(move || trace(&command, &sender))?;
        match events.recv() {
            Ok(Event::Started(Ok((pid, untraced)))) => {
                Ok(Spawned { events, pid, untraced, forks: 0, processes: vec![pid] })
            }
            Ok(Event::Started(Err(error))) => Err(error),
            _ => Err(io::Error::other("the thread that starts the server has ended")),
        }
    }

    /// Whether all its processes are watched.
    pub fn is_traced(&self) -> bool {
        self.untraced.is_none()
    }

    /// Whether one of its processes lives.
    pub fn is_running(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Waits until `by` for the next death of one of its processes.
    pub fn death(&mut self, by: Instant) -> Option<Death> {
        loop {
            let left = by.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::Death(death)) => {
                    self.processes.retain(|&pid| pid != death.pid);
                    return Some(death);
                }
                Ok(Event::Forked(pid)) => {
                    self.forks += 1;
                    self.processes.push(pid);
                }
                Ok(Event::Started(_)) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        while self.death(Instant::now()).is_some() {}
        // Each process by its number too, since some may have left the group.
        for pid in self.processes.iter().chain([&-self.pid]) {
            // SAFETY: kill takes only numbers.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
        }
        // After the last death its port is free.
        let by = Instant::now() + Duration::from_secs(2);
        while !self.processes.is_empty() && self.death(by).is_some() {}
    }
}

/// Starts the server, and reports the end of each of its processes.
fn trace(command: &[OsString], events: &Sender<Event>) {
    let started = match spawn(command, true) {
        Ok(pid) => Ok((pid, None)),
        // Not every container allows ptrace. If the command is wrong, this fails too.
        Err(error) => spawn(command, false).map(|pid| (pid, Some(error))),
    };
    let (first, is_traced) = match &started {
        Ok((pid, untraced)) => (*pid, untraced.is_none()),
        Err(_) => {
            let _ = events.send(Event::Started(started));
            return;
        }
    };
    if events.send(Event::Started(started)).is_err() {
        return;
    }
    watch(first, is_traced, events);
}

fn spawn(command: &[OsString], traced: bool) -> io::Result<i32> {
    let (program, arguments) = (&command[0], &command[1..]);
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    // The server's output must not mix with the result on stdout.
    command.stdout(io::stderr().as_fd().try_clone_to_owned()?);
    // SAFETY: POSIX lists signal as async-signal-safe. prctl and ptrace are bare system calls. The
    // closure allocates nothing.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            sys::die_with_parent();
            if traced { sys::trace_me() } else { Ok(()) }
        })
    };
    let child = command.spawn()?;
    Ok(child.id() as i32)
}

/// Waits for the server's processes, and lets stopped ones continue.
fn watch(first: i32, is_traced: bool, events: &Sender<Event>) {
    let mut processes = vec![first];
    let mut other_programs = Vec::new();
    let mut is_followed = false;
    loop {
        let mut status = 0;
        let any = if is_traced { -1 } else { first };
        // SAFETY: waitpid writes one int, to the local variable.
        let pid = unsafe { libc::waitpid(any, &raw mut status, sys::WAIT) };
        if pid == -1 {
            if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return;
        }
        if libc::WIFSTOPPED(status) {
            let is_other = pid != first && sys::is_exec(status) || other_programs.contains(&pid);
            let forked = sys::go_on(pid, status, &mut is_followed);
            other_programs.extend([Some(pid), forked].into_iter().flatten().filter(|_| is_other));
            if let Some(forked) = forked {
                processes.push(forked);
                let _ = events.send(Event::Forked(forked));
            }
            continue;
        }
        let how = if libc::WIFSIGNALED(status) {
            How::Signal(libc::WTERMSIG(status))
        } else {
            How::Status(libc::WEXITSTATUS(status))
        };
        // Each thread of a process is reported too.
        if let Some(index) = processes.iter().position(|&process| process == pid) {
            processes.swap_remove(index);
            let _ = events.send(Event::Death(Death {
                pid,
                is_first: pid == first,
                is_last: processes.is_empty(),
                is_other_program: other_programs.contains(&pid),
                how,
            }));
            other_programs.retain(|&other| other != pid);
        }
    }
}

/// A process that another program has started.
pub struct Process {
    pub pid: i32,
    /// When it started: another process may get its number later.
    started: Option<String>,
}

impl Process {
    pub fn watch(pid: i32) -> io::Result<Process> {
        let process = Process { pid, started: start_time(pid) };
        // SAFETY: kill takes only numbers, and sends nothing for signal 0.
        if unsafe { libc::kill(pid, 0) } == -1 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::PermissionDenied {
                return Err(error);
            }
        }
        if process.is_gone() || sys::KNOWS_START_TIME && process.started.is_none() {
            return Err(io::Error::other("the process has ended"));
        }
        Ok(process)
    }

    pub fn is_gone(&self) -> bool {
        // SAFETY: as in `watch`.
        let exists = unsafe { libc::kill(self.pid, 0) } == 0
            || io::Error::last_os_error().kind() == io::ErrorKind::PermissionDenied;
        !exists || start_time(self.pid) != self.started
    }
}

/// The start time of a process, on Linux. `None` if it has ended, also if its parent has not yet
/// waited for it.
fn start_time(pid: i32) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which comes before, may have parentheses and spaces.
    let mut fields = status.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18).map(str::to_owned) }
}
