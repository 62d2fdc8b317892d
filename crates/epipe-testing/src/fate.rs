//! How a closure ends in a process in which SIGPIPE has its default action.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::{self, AssertUnwindSafe, Location};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::Directory;
use crate::sys;

/// The longest time for a scene, if [`Rerun::timeout`] does not set it.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Names what starts a program that the kernel cannot run: an emulator and its arguments, separated
/// by spaces.
const RUNNER: &str = "EPIPE_RUNNER";
/// Names the directory for one child.
const DIRECTORY: &str = "EPIPE_FATE";
/// A file in it: the call that the child is to play, and the fates of the calls before it.
const REQUEST: &str = "request";
/// A file in it: the child's output.
const OUTPUT: &str = "output";
/// A file in it. It exists when the child has reached the call, and holds a byte when the closure
/// has returned.
const PROGRESS: &str = "progress";

/// How a scene ended.
///
/// ```
/// use epipe_testing::{Fate, FateError, Rerun};
///
/// fn play(scene: fn()) -> Result<Fate, FateError> {
///     Rerun::args(["scene"])?.fate_of(scene) // in a `#[test]`: fate_of(scene)
/// }
/// assert_eq!(play(|| print!("done"))?, Fate::Survived("done".into()));
/// assert_eq!(play(|| panic!("a reason"))?, Fate::Exited(101));
/// assert_eq!(play(|| std::process::abort())?.to_string(), "it was killed by signal 6");
/// # Ok::<(), FateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// The closure returned. Holds all that it printed to stdout and stderr.
    Survived(String),
    /// SIGPIPE killed the process.
    #[doc(alias = "SIGPIPE")]
    KilledBySigpipe,
    /// Another signal killed the process. Holds its number (6: an abort).
    #[doc(alias("WTERMSIG", "WIFSIGNALED"))]
    KilledBy(i32),
    /// The process exited. Holds its status (101: a panic).
    #[doc(alias("WEXITSTATUS", "exit"))]
    Exited(i32),
    /// The scene did not end in time, and was killed.
    TimedOut,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Survived(_) => f.write_str("it survived"),
            Fate::KilledBySigpipe => f.write_str("it was killed by SIGPIPE"),
            Fate::KilledBy(signal) => write!(f, "it was killed by signal {signal}"),
            Fate::Exited(101) => f.write_str("it panicked (exit status 101)"),
            Fate::Exited(code) => write!(f, "it exited with status {code}"),
            Fate::TimedOut => f.write_str("it did not end in time"),
        }
    }
}

/// Why a scene has no fate. [`Debug`](fmt::Debug) prints the message, for `unwrap`.
///
/// ```
/// use epipe_testing::{FateError, fate_of};
///
/// // This thread is not a test's: `fate_of` cannot know the program's arguments.
/// assert!(matches!(fate_of(|| {}), Err(FateError::NotATest { .. })));
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum FateError {
    /// The thread's name is not a test's, so the test to run again is unknown.
    #[error(
        "fate_of cannot know which test to run again: it takes the test's name from the thread, \
         and {thread} is not a test's.\n\
         Name the test: Rerun::test(\"module::name\")?.fate_of(|| ...)\n\
         Without libtest, give the arguments that lead to this call: \
         Rerun::args([...])?.fate_of(|| ...)"
    )]
    NotATest {
        /// The thread that called, for the message.
        thread: String,
    },
    /// The program ran again and did not reach this call.
    #[error(
        "the child process did not reach this call of fate_of: {ended}.{}\n\
         Its command: {command}\nIt printed:\n{output}",
        hint(*.guessed)
    )]
    NeverArrived {
        /// The command that was run.
        command: String,
        /// The test's name was taken from the thread's name.
        guessed: bool,
        /// How the child ended.
        ended: String,
        /// The child's output.
        output: String,
    },
    /// A child on its way to its own call reached this one, and the parent had no fate for it.
    ///
    /// The two calls stand one inside the other, or run on two threads at once.
    #[error(
        "this call of fate_of has no fate yet in this child process: do not nest calls of fate_of, \
         and do not run two at once"
    )]
    NotPlayed,
    /// An error of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl fmt::Debug for FateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hint(guessed: bool) -> &'static str {
    if guessed {
        "\nfate_of took the test's name from this thread's name. On a thread that is not the \
         test's own, name the test: Rerun::test(\"module::name\")?.fate_of(|| ...)"
    } else {
        ""
    }
}

/// Runs a closure, the *scene*, in a child process in which SIGPIPE has its default action, and
/// returns its fate.
///
/// SIGPIPE is also not blocked there: the scene finds what a library finds in a C program.
///
/// ```no_run
/// use std::io::Write;
///
/// use epipe_testing::{Fate, fate_of};
///
/// #[test]
/// fn std_pipes_kill() {
///     let fate = fate_of(|| {
///         let (reader, mut writer) = std::io::pipe().unwrap();
///         drop(reader);
///         let _ = writer.write(b"lost");
///     });
///     assert_eq!(fate.unwrap(), Fate::KilledBySigpipe);
/// }
/// ```
///
/// The child runs this test's program again, with this test alone (`--exact`). When it reaches this
/// call, it runs the closure and ends. Therefore:
///
/// * **The code before the call runs again** in the child, and must lead to the same call. If it
///   takes a port or a file for itself, move that into the closure.
/// * The code after the call does not run in the child. Changes that the closure makes stay there.
/// * Calls are identified by their place in the source, in a loop by their count. A call that the
///   child passes on its way returns what it returned here. Calls do not nest.
///
/// [`Fate::Survived`] holds the child's output. With every other fate the output is printed here,
/// and libtest shows it with the failure.
///
/// The scene has 60 seconds; [`Rerun::timeout`] changes that. If the kernel cannot start the
/// program directly, set `EPIPE_RUNNER` to the emulator and its arguments, as in cargo's `runner`.
///
/// # Limits
///
/// * SIGPIPE is unblocked on the calling thread, and so on the threads that the scene starts. A
///   thread that was started earlier keeps its mask. If SIGPIPE is blocked there, no write of that
///   thread kills.
/// * After the timeout the child is killed. Processes that the child has started are not.
/// * If the scene is killed, a line that `print!` has begun and not ended is lost: std buffers it.
///
/// # Errors
///
/// * [`FateError::NotATest`] on a thread that is not a test's own: main, an unnamed thread,
///   `harness = false`, a doctest. The thread's name decides. Use [`Rerun`] there.
/// * [`FateError::NeverArrived`] if the child did not reach this call. The thread's name may also
///   be no test's name, as with a runtime's workers.
#[doc(alias("fork", "waitpid", "SIGPIPE", "SIG_DFL", "exec"))]
#[track_caller]
pub fn fate_of(scene: impl FnOnce()) -> Result<Fate, FateError> {
    Rerun::this_test()?.fate_of(scene)
}

/// How to run this program again, where [`fate_of`] cannot know it.
///
/// With `harness = false`, main plays the scene that its first argument names:
///
/// ```
/// use std::io::Write;
/// use std::process::Command;
/// use std::time::Duration;
///
/// use epipe_testing::{Fate, Rerun};
///
/// let scene = || {
///     let (reader, mut writer) = std::io::pipe().unwrap();
///     drop(reader);
///     let _ = writer.write(b"lost");
/// };
/// let rerun = Rerun::args(["scene-7"])?.timeout(Duration::from_secs(5));
/// assert_eq!(rerun.fate_of(scene)?, Fate::KilledBySigpipe);
///
/// // The same with any command that starts this program, such as an emulator:
/// let mut command = Command::new(std::env::current_exe()?);
/// command.arg("scene-7");
/// assert_eq!(Rerun::from(command).fate_of(scene)?, Fate::KilledBySigpipe);
/// # Ok::<(), epipe_testing::FateError>(())
/// ```
///
/// A thread that the test has spawned names the test:
///
/// ```no_run
/// use epipe_testing::{Rerun, assert_survives};
///
/// #[test]
/// fn a_worker_survives() {
///     std::thread::spawn(|| {
///         let rerun = Rerun::test("a_worker_survives").unwrap(); // in a module: "module::name"
///         assert_survives!(rerun, || { /* ... */ });
///     })
///     .join()
///     .unwrap();
/// }
/// ```
///
/// # Limits
///
/// Do not use it on two threads at once: the child reaches both calls, on its way to one of them.
#[derive(Debug)]
pub struct Rerun {
    command: Command,
    timeout: Duration,
    /// The test's name was taken from the thread's name.
    guessed: bool,
    /// The child's arguments, formatted. Empty if unknown.
    args: String,
}

impl Rerun {
    /// Runs this program with one test alone, for libtest, nextest and libtest-mimic. The test must
    /// reach the call, on any thread.
    ///
    /// # Errors
    ///
    /// If the system does not report this program's path.
    pub fn test(name: &str) -> io::Result<Rerun> {
        Rerun::args([name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
    }

    /// Runs this program with these arguments. With them it must reach the call.
    ///
    /// # Errors
    ///
    /// If the system does not report this program's path.
    pub fn args(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<Rerun> {
        let program = std::env::current_exe()?;
        let runner = std::env::var(RUNNER).unwrap_or_default();
        let mut words = runner.split_whitespace().map(OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or(program.as_os_str()));
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().into()).collect();
        command.args(words).args(&args);
        Ok(Rerun {
            args: if runner.is_empty() {
                spell(&args)
            } else {
                String::new() // a runner may change them
            },
            ..Rerun::from(command)
        })
    }

    fn this_test() -> Result<Rerun, FateError> {
        let thread = thread::current();
        match thread.name() {
            Some(name) if name != "main" => Ok(Rerun { guessed: true, ..Rerun::test(name)? }),
            name => Err(FateError::NotATest {
                thread: name
                    .map_or("an unnamed thread".into(), |name| format!("the thread \"{name}\"")),
            }),
        }
    }

    /// Sets how long the scene may take. The default is 60 seconds.
    ///
    /// The way to the scene, such as the program's start on a busy machine, may take as long, and
    /// at least 60 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Rerun {
        self.timeout = timeout;
        self
    }

    /// Runs a scene in a child process and returns its fate. Like [`fate_of`].
    ///
    /// # Errors
    ///
    /// [`FateError::NeverArrived`] if the child did not reach this call; the errors of starting a
    /// process.
    #[doc(alias("fork", "waitpid"))]
    #[track_caller]
    pub fn fate_of(self, scene: impl FnOnce()) -> Result<Fate, FateError> {
        let ending = self.play(Location::caller(), scene)?;
        let fate = ending.fate();
        if !matches!(fate, Fate::Survived(_)) && !ending.output.is_empty() {
            eprintln!("{ending}");
        }
        Ok(fate)
    }

    fn play(mut self, site: &Location<'_>, scene: impl FnOnce()) -> Result<Ending, FateError> {
        let run = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        let parent = Request::of_parent()?;
        let place = count(format!("{run} {site}"));
        if let Some(request) = parent {
            if request.place == place {
                request.play_and_exit(scene);
            }
            return request.known(&place).ok_or(FateError::NotPlayed);
        }

        let directory = Directory::new()?;
        let directory = directory.path();
        Request::write(directory, &self.args, &place, &run)?;
        let output =
            OpenOptions::new().append(true).create_new(true).open(directory.join(OUTPUT))?;
        let mut child = self
            .command
            .env(DIRECTORY, directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let status = wait(&mut child, self.timeout, &directory.join(PROGRESS))?;

        let output = String::from_utf8_lossy(&fs::read(directory.join(OUTPUT))?).into_owned();
        let progress = fs::metadata(directory.join(PROGRESS));
        let has_returned = progress.as_ref().is_ok_and(|file| file.len() > 0);
        let code = match status {
            None => TIMED_OUT,
            Some(status) if status.success() && has_returned => RETURNED,
            Some(status) => status.into_raw(),
        };
        let ending = Ending { code, output };
        if progress.is_err() {
            return Err(FateError::NeverArrived {
                command: format!("{:?}", self.command),
                guessed: self.guessed,
                ended: ending.fate().to_string(),
                output: ending.output,
            });
        }
        played().push((place, ending.clone()));
        Ok(ending)
    }
}

impl From<Command> for Rerun {
    /// Takes any command that starts this program and leads to the call, such as an emulator.
    ///
    /// `fate_of` sets its standard streams and one environment variable.
    fn from(command: Command) -> Rerun {
        Rerun { command, timeout: TIMEOUT, guessed: false, args: String::new() }
    }
}

/// How a child ended, and its output.
#[derive(Clone, Debug)]
struct Ending {
    /// The wait status, or one of the two codes below.
    code: i32,
    output: String,
}

/// The child did not end in time, and was killed.
const TIMED_OUT: i32 = -1;
/// The child ended after the closure had returned.
const RETURNED: i32 = -2;

impl Ending {
    fn fate(&self) -> Fate {
        let status = match self.code {
            TIMED_OUT => return Fate::TimedOut,
            RETURNED => return Fate::Survived(self.output.clone()),
            code => ExitStatus::from_raw(code),
        };
        match (status.code(), status.signal()) {
            (Some(code), _) => Fate::Exited(code),
            (_, Some(sys::SIGPIPE)) => Fate::KilledBySigpipe,
            (_, signal) => Fate::KilledBy(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.output.trim_end() {
            "" => write!(f, "{}, and printed nothing", self.fate()),
            output => write!(f, "{}, and printed:\n{output}", self.fate()),
        }
    }
}

/// Waits until the child ends. `None`: it did not end in time, and was killed.
fn wait(child: &mut Child, timeout: Duration, progress: &Path) -> io::Result<Option<ExitStatus>> {
    let mut ending = sys::Ending::of(child);
    let mut begun = Instant::now();
    let mut most = timeout.max(TIMEOUT);
    let mut has_arrived = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if !has_arrived && progress.exists() {
            has_arrived = true;
            begun = Instant::now();
            most = timeout;
        }
        let left = most.saturating_sub(begun.elapsed());
        if left.is_zero() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        ending.wait(left)?;
    }
}

/// Names one call of `fate_of` by its run, its place in the source, and its count there in this
/// process.
fn count(place: String) -> String {
    static COUNTS: Mutex<Option<HashMap<String, usize>>> = Mutex::new(None);
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = counts.get_or_insert_default();
    let count = counts.entry(place.clone()).or_default();
    *count += 1;
    format!("{place} {count}")
}

/// The endings that this process knows, by place. Its children receive them.
fn played() -> MutexGuard<'static, Vec<(String, Ending)>> {
    static PLAYED: Mutex<Vec<(String, Ending)>> = Mutex::new(Vec::new());
    PLAYED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Request {
    directory: PathBuf,
    place: String,
    /// How the calls before it ended: place, code, output.
    known: Vec<String>,
}

/// This process has reached the call that it must play.
static HAS_ARRIVED: AtomicBool = AtomicBool::new(false);

/// Separates the words of a request. Inside a word it is replaced.
const SEPARATOR: &str = "\0";

impl Request {
    /// What this process must play. `None`: it is a parent.
    fn of_parent() -> Result<Option<Request>, FateError> {
        let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
            return Ok(None);
        };
        if HAS_ARRIVED.load(Ordering::Relaxed) {
            return Err(FateError::NotPlayed);
        }
        if directory.join(PROGRESS).exists() {
            // Another process has arrived. It started this one, which inherited the variable.
            return Ok(None);
        }
        let text = match fs::read_to_string(directory.join(REQUEST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let mut words = text.split(SEPARATOR).map(String::from);
        let args = words.next().unwrap_or_default();
        if !args.is_empty() && args != spell(&std::env::args_os().skip(1).collect::<Vec<_>>()) {
            // Another program: the child has started it on its way.
            return Ok(None);
        }
        Ok(Some(Request {
            directory,
            place: words.next().unwrap_or_default(),
            known: words.collect(),
        }))
    }

    fn write(directory: &Path, args: &str, place: &str, run: &str) -> io::Result<()> {
        let mut words = vec![args.to_owned(), place.to_owned()];
        for (place, Ending { code, output }) in
            played().iter().filter(|(place, _)| place.starts_with(run))
        {
            let output = output.replace(SEPARATOR, "\u{fffd}");
            words.extend([place.clone(), code.to_string(), output]);
        }
        fs::write(directory.join(REQUEST), words.join(SEPARATOR))
    }

    fn known(&self, wanted: &str) -> Option<Ending> {
        self.known.chunks(3).find_map(|words| match words {
            [place, code, output] if place == wanted => {
                Some(Ending { code: code.parse().ok()?, output: output.clone() })
            }
            _ => None,
        })
    }

    /// Prepares the process for the scene, plays it, and ends the process.
    fn play_and_exit(&self, scene: impl FnOnce()) -> ! {
        let played = self.arrive().and_then(|progress| {
            // The panic's message is already printed. The panic stops here: libtest would count it
            // for `should_panic`.
            match panic::catch_unwind(AssertUnwindSafe(scene)) {
                Err(payload) => {
                    // A payload whose drop panics would end the process in another way.
                    std::mem::forget(payload);
                    Ok(101)
                }
                // Not with a write: the scene may have entered a sandbox that forbids writes.
                Ok(()) => progress.set_len(1).map(|()| 0),
            }
        });
        let code = played.unwrap_or_else(|error| {
            eprintln!("fate_of: {error}");
            1
        });
        process::exit(code)
    }

    /// Marks the arrival. The progress file stays open: the scene may forbid itself to open files.
    fn arrive(&self) -> io::Result<File> {
        HAS_ARRIVED.store(true, Ordering::Relaxed);
        // The output so far is not the scene's.
        io::stdout().flush()?;
        File::create(self.directory.join(OUTPUT))?;
        sys::reset_sigpipe()?;
        File::create_new(self.directory.join(PROGRESS))
    }
}

/// Formats arguments for a comparison. The result contains no separator.
fn spell(args: &[OsString]) -> String {
    format!("{args:?}")
}

/// The implementation of `assert_survives!` and `assert_killed!`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Judge(Result<Ending, FateError>);

impl Judge {
    #[track_caller]
    pub fn of(run: Option<Rerun>, scene: impl FnOnce()) -> Judge {
        let site = Location::caller();
        let run = run.map_or_else(Rerun::this_test, Ok);
        Judge(run.and_then(|run| run.play(site, scene)))
    }

    #[track_caller]
    pub fn survives(self) -> String {
        match self.ending() {
            Ending { code: RETURNED, output } => output,
            ending => {
                let hint = match ending.fate() {
                    Fate::KilledBySigpipe => "\nhelp: run the scene under `Watch` to find the call",
                    Fate::TimedOut => "\nhelp: `Rerun::timeout` gives the scene more time",
                    _ => "",
                };
                panic!("the scene should survive: {ending}{hint}")
            }
        }
    }

    #[track_caller]
    pub fn is_killed(self) {
        let ending = self.ending();
        if ending.fate() != Fate::KilledBySigpipe {
            let hint = match ending.fate() {
                Fate::Survived(_) => {
                    "\nhelp: before the write, wait until the peer is gone (`Peer::wait_broken`); \
                     use a call that raises SIGPIPE (see \"A proof needs a control\" in the docs)"
                }
                _ => "",
            };
            panic!("the scene should be killed by SIGPIPE: {ending}{hint}");
        }
    }

    #[track_caller]
    fn ending(self) -> Ending {
        self.0.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Asserts that a scene survives in a child process in which SIGPIPE has its default action, and
/// returns its output. A panic in the scene also fails.
///
/// ```no_run
/// use std::io::{IoSlice, Write};
/// use std::net::TcpStream;
/// use std::time::Duration;
///
/// use epipe_testing::{Break, Peer, assert_killed, assert_survives};
///
/// fn broken() -> TcpStream {
///     let peer = Peer::listen(Break::FinThenReset(0)).unwrap();
///     let stream = TcpStream::connect(peer.address().unwrap()).unwrap();
///     peer.wait_broken(&stream, Duration::from_secs(5)).unwrap();
///     stream
/// }
///
/// #[test]
/// fn on_linux_std_protects_write_and_not_write_vectored() {
///     let printed = assert_survives!(|| {
///         print!("{}", broken().write(b"lost").unwrap_err().kind());
///     });
///     assert_eq!(printed, "broken pipe");
///     assert_killed!(|| drop(broken().write_vectored(&[IoSlice::new(b"lost")])));
/// }
/// ```
///
/// Where [`fate_of`](crate::fate_of) cannot know the test, pass a [`Rerun`](crate::Rerun) first:
/// `assert_survives!(rerun, || { ... })`.
///
/// # Panics
///
/// If the scene does not survive. The message holds its fate and its output.
#[doc(alias("SIGPIPE", "fork"))]
#[macro_export]
macro_rules! assert_survives {
    ($scene:expr $(,)?) => {
        $crate::Judge::of(::core::option::Option::None, $scene).survives()
    };
    ($rerun:expr, $scene:expr $(,)?) => {
        $crate::Judge::of(::core::option::Option::Some($rerun), $scene).survives()
    };
}

/// Asserts that SIGPIPE kills a scene in a child process: the control beside a scene that survives.
///
/// Takes the same arguments as [`assert_survives!`](crate::assert_survives), which has an example.
///
/// # Panics
///
/// If SIGPIPE does not kill the scene. The message holds its fate and its output.
#[doc(alias("SIGPIPE", "fork"))]
#[macro_export]
macro_rules! assert_killed {
    ($scene:expr $(,)?) => {
        $crate::Judge::of(::core::option::Option::None, $scene).is_killed()
    };
    ($rerun:expr, $scene:expr $(,)?) => {
        $crate::Judge::of(::core::option::Option::Some($rerun), $scene).is_killed()
    };
}
