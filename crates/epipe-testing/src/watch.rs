//! Records which calls raise SIGPIPE in this process.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::blame;
use crate::sys::{Recorder, Recording};

/// Finds the unprotected calls of a program. While it lives, it records each SIGPIPE of this
/// process with its thread and its stack, and none of them kills.
///
/// The writing call returns `EPIPE`, as if the signal were ignored. An existing handler is called
/// after the recording. `SIG_DFL` and `SIG_IGN` are replaced, and restored when the watch is
/// dropped.
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
/// assert_eq!((events.len(), watch.missed()), (1, 0));
/// println!("{}", events[0]); // file and line of each caller
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Limits
///
/// * It sees only signals that are *raised*. Where SIGPIPE is blocked, as under epipe's
///   `sigpipe::guard`, it sees nothing. Calls that epipe protects raise nothing.
/// * It sees the signals of all threads in the process, also of tests that run at the same time. A
///   process can have one `Watch` at a time. Run a test that watches in a process of its own
///   ([`fate_of`](super::fate_of), nextest).
/// * It keeps 128 signals and counts the others ([`missed`](Watch::missed)). It keeps the innermost
///   64 frames of each stack.
/// * The unwinder must pass the signal's own frame. LLVM's unwinder cannot. Static musl programs
///   on x86-64 use it: their events report only the thread.
/// * The unwinder needs unwind tables. The stack ends at C code without them (on 32-bit `arm`,
///   or with `-fno-asynchronous-unwind-tables`).
/// * Files and lines need debug information, which release builds lack by default. In the profile,
///   `debug = "line-tables-only"` is enough; function names are then without their paths.
/// * Where SIGPIPE goes to the process (Apple, NetBSD), another thread may take it. The event then
///   has the thread and stack of that one. On these systems epipe's guard is also a handler, and
///   the watch records signals that the guard suppresses. End the two in the reverse order in which
///   they began.
/// * Code that meanwhile installs a handler replaces the watch, and its handler stays after the
///   drop. If that handler calls the one that it replaced, remove it before the next `Watch`.
#[doc(alias("SIGPIPE", "sigaction", "backtrace", "SIG_DFL", "SIG_IGN"))]
#[must_use = "a `Watch` records only until it is dropped"]
pub struct Watch(Recorder);

/// Why a [`Watch`] cannot begin. [`Debug`](fmt::Debug) prints the message, for `unwrap`.
///
/// ```
/// use epipe_testing::{Watch, WatchError};
///
/// let watch = Watch::begin()?;
/// assert!(matches!(Watch::begin(), Err(WatchError::Another)));
/// # Ok::<(), WatchError>(())
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The process already has a watch.
    #[error(
        "this process already has a Watch: run this test in a process of its own, with `fate_of`"
    )]
    Another,
    /// SIGPIPE is blocked on this thread.
    #[error(
        "SIGPIPE is blocked on this thread, as under a guard of epipe, and a Watch would see \
         nothing: begin it where SIGPIPE is not blocked"
    )]
    Blocked,
    /// An error of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl fmt::Debug for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Watch {
    /// Starts to record.
    ///
    /// # Errors
    ///
    /// [`WatchError::Another`] if the process has a watch; [`WatchError::Blocked`] if SIGPIPE is
    /// blocked on this thread; the errors of `sigaction`.
    pub fn begin() -> Result<Watch, WatchError> {
        if Recorder::is_blind()? {
            return Err(WatchError::Blocked);
        }
        Recorder::begin()?.map(Watch).ok_or(WatchError::Another)
    }

    /// Returns the signals recorded so far.
    ///
    /// This looks up the names of functions, which takes a while the first time.
    pub fn events(&self) -> Vec<Event> {
        self.0.recordings().iter().map(Event::of).collect()
    }

    /// Returns the number of signals that were not kept, since there were more than 128.
    pub fn missed(&self) -> usize {
        self.0.missed()
    }

    /// Asserts that no SIGPIPE was raised so far.
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// use epipe_testing::Watch;
    ///
    /// let watch = Watch::begin()?;
    /// let mut log = Vec::new();
    /// log.write_all(b"your code")?;
    /// watch.assert_none();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If a SIGPIPE was raised. The message names the call that raised it, with its stack.
    #[track_caller]
    pub fn assert_none(&self) {
        let events = self.events();
        let missed = self.missed();
        if events.is_empty() && missed == 0 {
            return;
        }
        let mut message =
            String::from("SIGPIPE was raised: with the default action it would kill the process");
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

/// One SIGPIPE: the thread that took it, and its stack. [`Display`](fmt::Display) prints the stack
/// down to the thread's start.
///
/// ```
/// use std::io::Write;
///
/// use epipe_testing::{Event, Frame, Watch};
///
/// let (reader, mut writer) = std::io::pipe()?;
/// drop(reader);
/// let watch = Watch::begin()?;
/// writer.write_all(b"lost").unwrap_err();
///
/// let event: &Event = &watch.events()[0];
/// println!("thread {:#x}, named {:?}", event.thread(), event.thread_name());
/// if let Some(Frame { function, file, line, .. }) = event.caller() {
///     println!("raised by {function:?} at {file:?}:{line:?}");
/// }
/// println!("{} frames", event.frames().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    thread: usize,
    thread_name: Option<String>,
    frames: Vec<Frame>,
}

/// One function of a stack. An inlined function has a frame of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The instruction pointer.
    pub ip: usize,
    /// The function's name, if the program contains it.
    pub function: Option<String>,
    /// The source file, if the program has debug information.
    pub file: Option<PathBuf>,
    /// The line in that file. The first is 1.
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

    /// Returns the thread's `pthread_self()`. Like
    /// [`JoinHandleExt::as_pthread_t`](std::os::unix::thread::JoinHandleExt::as_pthread_t).
    #[doc(alias("pthread_self", "pthread_t"))]
    pub fn thread(&self) -> usize {
        self.thread
    }

    /// Returns the first 15 bytes of the thread's name. libtest names its threads after the tests.
    ///
    /// # Platforms
    ///
    /// Linux and Android. `None` elsewhere.
    #[doc(alias = "PR_GET_NAME")]
    pub fn thread_name(&self) -> Option<&str> {
        self.thread_name.as_deref()
    }

    /// Returns the stack, from the call that raised the signal outwards.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Returns the function to blame: the innermost one that belongs neither to Rust's standard
    /// library nor to glibc.
    ///
    /// The function's file decides. Without debug information its name decides, if it is a Rust
    /// name.
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
            f.write_str(" (the unwinder cannot walk its stack)")?;
        }
        // As in std's backtraces: the frames below this one are the thread's start.
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

/// The functions at one instruction pointer, the innermost first. At least one.
fn look_up(ip: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    // `resolve` looks one byte before the pointer, since a return address stands behind its call.
    // So does the pointer of the system call that raised the signal.
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
