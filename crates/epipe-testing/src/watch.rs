//! Who raises SIGPIPE in this process.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::blame;
use crate::sys::{Recorder, Recording};

/// Finds calls that nothing protects, without dying of them: while it lives, a SIGPIPE of this
/// process is recorded with its thread and its stack.
///
/// The writing call still returns `EPIPE`, as if the signal were ignored. If there was a handler,
/// it is called after the recording; the default action and an ignored signal stand aside until the
/// watch is dropped, and then are put back.
///
/// ```
/// use std::io::Write;
///
/// use epipe_testing::Watch;
///
/// let (reader, mut writer) = std::io::pipe()?;
/// drop(reader);
///
/// let watch = Watch::begin()?;
/// writer.write_all(b"lost").unwrap_err(); // std's pipe
/// let events = watch.events();
/// assert_eq!(events.len(), 1);
/// println!("{}", events[0]); // file and line of each caller
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Limits
///
/// * It sees what is *raised*. Where SIGPIPE is blocked, as under epipe's `sigpipe::guard`, nothing
///   comes; and calls that epipe protects raise nothing.
/// * It is the process's: it sees the SIGPIPEs of all threads, also of tests that run beside this
///   one. There is one at a time. Give a test that watches a process of its own
///   ([`fate_of`](super::fate_of), nextest).
/// * 128 signals are kept, the others counted ([`missed`](Watch::missed)); of a stack the innermost
///   64 frames.
/// * The unwinder must pass the signal's own frame. LLVM's, which static musl programs on x86-64
///   hold, does not: there an event tells its thread alone.
/// * The stack is walked by unwind tables. C code without them (32-bit ARM,
///   `-fno-asynchronous-unwind-tables`) ends it. Files and lines need debug information, which
///   release builds lack by default (`debug = "line-tables-only"` in the profile is enough; a
///   function's name is then without its path).
/// * Where SIGPIPE goes to the process (Apple, NetBSD) another thread may take it: then thread and
///   stack are that one's. There, epipe's guard is a handler too: what it suppresses is recorded.
///   End the two in the reverse order in which they began.
/// * Code that installs a handler of its own meanwhile takes over, and keeps it when the watch is
///   dropped. One that goes on calling the handler which it had found must be gone before the next
///   `Watch`.
#[must_use = "it watches until it is dropped"]
pub struct Watch(Recorder);

/// Why a [`Watch`] cannot begin. [`Debug`](fmt::Debug) is the message as well, for who unwraps.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// There is one at a time.
    #[error("another Watch lives in this process: give this test a process of its own (`fate_of`)")]
    Another,
    /// On this thread nothing would come.
    #[error(
        "SIGPIPE is blocked on this thread, as under a guard of epipe: a Watch would see nothing of it"
    )]
    Blocked,
    /// What the system said.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl fmt::Debug for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Watch {
    /// Watches from now on.
    ///
    /// # Errors
    ///
    /// [`WatchError::Another`] while there is one; [`WatchError::Blocked`] where it would be blind;
    /// those of `sigaction`.
    pub fn begin() -> Result<Watch, WatchError> {
        if Recorder::is_blind()? {
            return Err(WatchError::Blocked);
        }
        Recorder::begin()?.map(Watch).ok_or(WatchError::Another)
    }

    /// What has been recorded so far. Here the symbols are looked up, which takes a while the first
    /// time.
    pub fn events(&self) -> Vec<Event> {
        self.0.recordings().iter().map(Event::of).collect()
    }

    /// How many more have come than could be kept.
    pub fn missed(&self) -> usize {
        self.0.missed()
    }

    /// Nothing has come.
    ///
    /// # Panics
    ///
    /// If a SIGPIPE was raised: the message tells by whom.
    #[track_caller]
    pub fn assert_none(&self) {
        let events = self.events();
        let missed = self.missed();
        if events.is_empty() && missed == 0 {
            return;
        }
        let mut message =
            String::from("a SIGPIPE was raised, which kills where the default stands");
        for event in &events {
            message.push_str(&format!("\n{event}"));
        }
        if missed > 0 {
            message.push_str(&format!("\n... and {missed} more that were not kept"));
        }
        panic!("{message}");
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("missed", &self.missed()).finish_non_exhaustive()
    }
}

/// One SIGPIPE: which thread took it, and where that was. [`Display`](fmt::Display) is its stack,
/// down to the thread's start.
#[derive(Clone, Debug)]
pub struct Event {
    thread: usize,
    thread_name: Option<String>,
    frames: Vec<Frame>,
}

/// A function of a stack. Inlined functions count as well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The instruction pointer.
    pub ip: usize,
    /// The function, if the program knows its name.
    pub function: Option<String>,
    /// Its file, if there is debug information.
    pub file: Option<PathBuf>,
    /// The line in it, from 1.
    pub line: Option<u32>,
}

impl Event {
    fn of(recording: &Recording) -> Event {
        let name = String::from_utf8_lossy(recording.name()).into_owned();
        Event {
            thread: recording.thread,
            thread_name: Some(name).filter(|name| !name.is_empty()),
            frames: recording.frames().iter().flat_map(|ip| look_up(*ip)).collect(),
        }
    }

    /// The thread's number, `pthread_self()`: std's `JoinHandleExt::as_pthread_t` tells it too.
    pub fn thread(&self) -> usize {
        self.thread
    }

    /// The thread's name, where the system tells it (Linux, Android; its first 15 bytes). libtest
    /// names its threads after the tests.
    pub fn thread_name(&self) -> Option<&str> {
        self.thread_name.as_deref()
    }

    /// The stack, from the call that raised it outwards.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Who is to blame: the innermost function that belongs neither to Rust's standard library nor
    /// to glibc, by its file; of code without debug information, by its name, if that is Rust's.
    pub fn caller(&self) -> Option<&Frame> {
        let is_to_blame =
            |frame: &&Frame| blame::is_to_blame(frame.function.as_deref(), frame.file.as_deref());
        self.frames.iter().find(is_to_blame)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIGPIPE on thread ")?;
        match &self.thread_name {
            Some(name) => write!(f, "\"{name}\"")?,
            None => write!(f, "{:#x}", self.thread)?,
        }
        if let Some(caller) = self.caller() {
            write!(f, ", raised by {caller}")?;
        }
        if self.frames.is_empty() {
            f.write_str(", whose stack the unwinder cannot walk")?;
        }
        // As std cuts its own: what lies below is the thread's start.
        let is_start = |frame: &Frame| {
            let name = frame.function.as_deref();
            name.is_some_and(|name| name.contains("__rust_begin_short_backtrace"))
        };
        let shown = self.frames.iter().take_while(|frame| !is_start(frame));
        for (number, frame) in shown.enumerate() {
            write!(f, "\n{number:>4}: {frame}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => f.write_str(function)?,
            None => write!(f, "{:#x}", self.ip)?,
        }
        if let Some(file) = &self.file {
            write!(f, " at {}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
        }
        Ok(())
    }
}

/// The functions of one instruction pointer, the innermost first; one at least.
fn look_up(ip: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    // It looks one byte before the pointer, for a return address stands behind its call; and so
    // does the pointer of the system call that raised the signal.
    backtrace::resolve(ip as *mut std::ffi::c_void, |symbol| {
        frames.push(Frame {
            ip,
            function: symbol.name().map(|name| format!("{name:#}")),
            file: symbol.filename().map(Path::to_path_buf),
            line: symbol.lineno(),
        });
    });
    if frames.is_empty() {
        frames.push(Frame { ip, function: None, file: None, line: None });
    }
    frames
}
