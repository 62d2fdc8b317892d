//! What becomes of a closure where SIGPIPE has its default.

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

use crate::connection::Folder;
use crate::sys;

/// How long a scene may take, unless told.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What starts a child whose program the kernel cannot run: an emulator and its arguments,
/// separated by spaces.
const RUNNER: &str = "EPIPE_RUNNER";
/// Names the directory of one child.
const FOLDER: &str = "EPIPE_FATE";
/// In it: which call the child is to play, with the fates of those before it.
const REQUEST: &str = "request";
/// What the child prints.
const OUTPUT: &str = "output";
/// It is there when the child has come to the call, and has a byte when the closure has returned.
const PROGRESS: &str = "progress";

/// How a scene ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// The closure returned. What it had printed, on both standard streams.
    Survived(String),
    /// SIGPIPE ended the process.
    KilledBySigpipe,
    /// Another signal did, by its number (6: an abort).
    KilledBy(i32),
    /// The process ended itself; after a panic with 101.
    Exited(i32),
    /// It was killed when its time was over.
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
            Fate::TimedOut => f.write_str("its time was over"),
        }
    }
}

/// Why there is no fate to tell. [`Debug`](fmt::Debug) is the message as well, for who unwraps.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum FateError {
    /// Which test is to be run again cannot be told.
    #[error(
        "fate_of runs this test once more, by the name of its thread, and {thread} is no test's: say \
         which test it is, Rerun::test(\"module::name\")?.fate_of(|| ...), or where the harness is your \
         own, with which arguments main comes here, Rerun::args([...])?.fate_of(|| ...)"
    )]
    NotATest {
        /// This thread.
        thread: String,
    },
    /// The program was run again and did not come to this call.
    #[error(
        "`{command}` ({ended}) did not come to this call of fate_of{}; it said:\n{output}",
        hint(*.guessed)
    )]
    NeverArrived {
        /// What was run.
        command: String,
        /// Which test it is was taken from this thread's name.
        guessed: bool,
        /// How that ended.
        ended: String,
        /// What it printed.
        output: String,
    },
    /// This is a child on its way to another call, and in the parent this one had not ended before
    /// that: they stand one within the other, or on threads that run at once.
    #[error(
        "a child came to a call of fate_of whose fate is not known: do not nest them, nor run two at once"
    )]
    NotPlayed,
    /// What the system said.
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
        " (it plays the test that is called as this thread is; on a thread that is not the test's own, say \
         Rerun::test(\"module::name\")?.fate_of(|| ...))"
    } else {
        ""
    }
}

/// Runs a scene in a process of its own in which SIGPIPE has its default and is not blocked, as in
/// a C host, and tells its fate.
///
/// This test's program is run once more, with this test alone (`--exact`), and comes to this call
/// again: there the closure is run, and the process ends. So **the code before it runs again** in
/// the child and must take the same way, the code behind it does not run, and what the closure
/// changes stays in the child. (A port or a file that the code before has for itself is taken when
/// it runs again: make it in the closure.) Calls are told apart by their place in the source, and
/// in a loop by their count; those that the child passes on its way return what they returned here.
/// They do not nest.
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
/// What the child has printed is told by [`Fate::Survived`]; for every other fate it is printed
/// here, where libtest keeps it for the failure message. (Of a line that `print!` has begun nothing
/// is told after a death: std keeps it until it ends.) It may take 60 seconds ([`Rerun::timeout`]).
/// Where the program runs under an emulator that the kernel does not start by itself,
/// `EPIPE_RUNNER` names it with its arguments, as cargo's `runner` does.
///
/// # Limits
///
/// * SIGPIPE is unblocked on the thread that calls, and so on those that the scene starts. A thread
///   that was started before keeps its mask: where it is blocked, no write of that thread kills.
/// * When the time is over the child is killed; what the child has started is not.
///
/// # Errors
///
/// [`FateError::NotATest`] on any thread that is not a test's own, which is known by its name:
/// main, an unnamed one, `harness = false`, a doctest. [`Rerun`] is the form for those.
/// [`FateError::NeverArrived`] if the second run took another way, and on a thread whose name is no
/// test's, as a runtime's workers have.
#[track_caller]
pub fn fate_of(scene: impl FnOnce()) -> Result<Fate, FateError> {
    Rerun::this_test()?.fate_of(scene)
}

/// How this program is run once more, where [`fate_of`] cannot know it.
///
/// ```no_run
/// use std::time::Duration;
/// # use epipe_testing::{FateError, Rerun};
///
/// // On a thread that the test has spawned:
/// Rerun::test("module::the_test")?.fate_of(|| { /* ... */ })?;
/// // Where `harness = false` and main plays what its first argument names:
/// Rerun::args(["scene-7"])?.timeout(Duration::from_secs(5)).fate_of(|| { /* ... */ })?;
/// # Ok::<(), FateError>(())
/// ```
///
/// Not on two threads at once: the child plays both, on its way to one of them.
#[derive(Debug)]
pub struct Rerun {
    command: Command,
    timeout: Duration,
    /// The test is known by this thread's name.
    guessed: bool,
    /// What the child finds as its arguments, spelled; empty if it cannot be told.
    args: String,
}

impl Rerun {
    /// This program with one test alone, for libtest, nextest and libtest-mimic. The test must come
    /// to the call, on whichever thread.
    ///
    /// # Errors
    ///
    /// If the system does not tell this program's path.
    pub fn test(name: &str) -> io::Result<Rerun> {
        Rerun::args([name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
    }

    /// This program with these arguments. Run so, it must come to the call.
    ///
    /// # Errors
    ///
    /// If the system does not tell this program's path.
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
                String::new() // what a runner makes of them is not known
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

    /// How long the scene may take, from its beginning: 60 seconds unless told. The way there, a
    /// program's start on a busy machine, may take as long, and 60 seconds in any case.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Rerun {
        self.timeout = timeout;
        self
    }

    /// As [`fate_of`].
    ///
    /// # Errors
    ///
    /// [`FateError::NeverArrived`] if the second run took another way; those of starting a process.
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
                request.come_to(scene);
            }
            return request.known(&place).ok_or(FateError::NotPlayed);
        }

        let folder = Folder::new()?;
        let folder = folder.path();
        Request::write(folder, &self.args, &place, &run)?;
        let output = OpenOptions::new().append(true).create_new(true).open(folder.join(OUTPUT))?;
        let mut child = self
            .command
            .env(FOLDER, folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let status = wait(&mut child, self.timeout, &folder.join(PROGRESS))?;

        let output = String::from_utf8_lossy(&fs::read(folder.join(OUTPUT))?).into_owned();
        let progress = fs::metadata(folder.join(PROGRESS));
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
    /// Any command that starts this program, such as an emulator with it, so that it comes to the
    /// call. Standard streams and one variable of the environment are set.
    fn from(command: Command) -> Rerun {
        Rerun { command, timeout: TIMEOUT, guessed: false, args: String::new() }
    }
}

/// How a child ended, and what it had printed.
#[derive(Clone, Debug)]
struct Ending {
    /// What `wait` says of it, or one of those below.
    code: i32,
    output: String,
}

/// It was killed when its time was over.
const TIMED_OUT: i32 = -1;
/// It ended when the closure had returned.
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
            "" => write!(f, "{}, and said nothing", self.fate()),
            output => write!(f, "{}, and said:\n{output}", self.fate()),
        }
    }
}

/// Waits until it ends. `None`: it did not, and was killed.
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

/// Names one call of `fate_of`: in which run, where, and the how-manieth there that this process
/// has come to.
fn count(place: String) -> String {
    static COUNTS: Mutex<Option<HashMap<String, usize>>> = Mutex::new(None);
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = counts.get_or_insert_default();
    let count = counts.entry(place.clone()).or_default();
    *count += 1;
    format!("{place} {count}")
}

/// The endings that this process knows, by place, which its children are told.
fn played() -> MutexGuard<'static, Vec<(String, Ending)>> {
    static PLAYED: Mutex<Vec<(String, Ending)>> = Mutex::new(Vec::new());
    PLAYED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a child was started for.
#[derive(Debug)]
struct Request {
    folder: PathBuf,
    /// The call that it is to play.
    place: String,
    /// How those before it ended: place, code, output.
    known: Vec<String>,
}

/// This process has come to the call that it was started for.
static HAS_ARRIVED: AtomicBool = AtomicBool::new(false);

/// Between the words of a request. In a word it is replaced.
const SEPARATOR: &str = "\0";

impl Request {
    /// What this process was started for. `None`: it is a parent.
    fn of_parent() -> Result<Option<Request>, FateError> {
        let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
            return Ok(None);
        };
        if HAS_ARRIVED.load(Ordering::Relaxed) {
            return Err(FateError::NotPlayed);
        }
        if folder.join(PROGRESS).exists() {
            // Another process has: this one was started by it and has inherited the variable.
            return Ok(None);
        }
        let text = match fs::read_to_string(folder.join(REQUEST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let mut words = text.split(SEPARATOR).map(String::from);
        let args = words.next().unwrap_or_default();
        if !args.is_empty() && args != spell(&std::env::args_os().skip(1).collect::<Vec<_>>()) {
            // Another program, which the child has started on its way.
            return Ok(None);
        }
        Ok(Some(Request {
            folder,
            place: words.next().unwrap_or_default(),
            known: words.collect(),
        }))
    }

    fn write(folder: &Path, args: &str, place: &str, run: &str) -> io::Result<()> {
        let mut words = vec![args.to_owned(), place.to_owned()];
        for (place, Ending { code, output }) in
            played().iter().filter(|(place, _)| place.starts_with(run))
        {
            let output = output.replace(SEPARATOR, "\u{fffd}");
            words.extend([place.clone(), code.to_string(), output]);
        }
        fs::write(folder.join(REQUEST), words.join(SEPARATOR))
    }

    fn known(&self, wanted: &str) -> Option<Ending> {
        self.known.chunks(3).find_map(|words| match words {
            [place, code, output] if place == wanted => {
                Some(Ending { code: code.parse().ok()?, output: output.clone() })
            }
            _ => None,
        })
    }

    /// Becomes what the scene wants, plays it, and ends the process.
    fn come_to(&self, scene: impl FnOnce()) -> ! {
        let played = self.arrive().and_then(|progress| {
            // The panic's message is printed already. It must not go on: `should_panic` would take
            // it.
            match panic::catch_unwind(AssertUnwindSafe(scene)) {
                Err(payload) => {
                    // A payload whose drop panics would end the process by another way.
                    std::mem::forget(payload);
                    Ok(101)
                }
                // Not by a write: the scene may be a sandbox that forbids one.
                Ok(()) => progress.set_len(1).map(|()| 0),
            }
        });
        let code = played.unwrap_or_else(|error| {
            eprintln!("fate_of: {error}");
            1
        });
        process::exit(code)
    }

    /// The file that says how far it has come is open from here on: the scene may forbid to open
    /// one.
    fn arrive(&self) -> io::Result<File> {
        HAS_ARRIVED.store(true, Ordering::Relaxed);
        // What was said on the way here is not the scene's.
        io::stdout().flush()?;
        File::create(self.folder.join(OUTPUT))?;
        sys::become_a_foreign_host()?;
        File::create_new(self.folder.join(PROGRESS))
    }
}

/// Arguments, so that they can be compared. They contain no separator.
fn spell(args: &[OsString]) -> String {
    format!("{args:?}")
}

/// What `assert_survives!` and `assert_killed!` do.
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
            ending => panic!("the scene should survive: {ending}"),
        }
    }

    #[track_caller]
    pub fn is_killed(self) {
        let ending = self.ending();
        if ending.fate() != Fate::KilledBySigpipe {
            panic!("the scene should be killed by SIGPIPE: {ending}");
        }
    }

    #[track_caller]
    fn ending(self) -> Ending {
        self.0.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Asserts that a scene survives where SIGPIPE has its default, in a process of its own; returns
/// what it has printed. A panic in the scene fails too.
///
/// `assert_survives!(|| { ... })`; where [`fate_of`](crate::fate_of) cannot know the test, with a
/// [`Rerun`](crate::Rerun) first.
///
/// # Panics
///
/// If it does not survive: the message has its fate and what it has printed.
#[macro_export]
macro_rules! assert_survives {
    ($scene:expr $(,)?) => {
        $crate::Judge::of(::core::option::Option::None, $scene).survives()
    };
    ($rerun:expr, $scene:expr $(,)?) => {
        $crate::Judge::of(::core::option::Option::Some($rerun), $scene).survives()
    };
}

/// Asserts that a scene is killed by SIGPIPE, in a process of its own: the control beside a scene
/// that survives. Takes what [`assert_survives!`](crate::assert_survives) takes.
///
/// # Panics
///
/// If it is not killed, or by something else: the message has its fate and what it has printed.
#[macro_export]
macro_rules! assert_killed {
    ($scene:expr $(,)?) => {
        $crate::Judge::of(::core::option::Option::None, $scene).is_killed()
    };
    ($rerun:expr, $scene:expr $(,)?) => {
        $crate::Judge::of(::core::option::Option::Some($rerun), $scene).is_killed()
    };
}
