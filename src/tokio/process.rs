//! Children whose stdin reports a vanished reader as an error, never as a signal.
//!
//! Like [`tokio::process`]: the same names and methods.
//!
//! ```
//! # #[cfg(unix)]
//! # fn main() -> std::io::Result<()> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! use std::process::Stdio;
//!
//! use epipe::tokio::io::AsyncWriteExt;
//! use epipe::tokio::process::{Child, ChildStdin, Command}; // was: tokio::process
//!
//! let mut child: Child = Command::new("sort").stdin(Stdio::piped()).spawn()?;
//! let stdin: &mut ChildStdin = child.stdin.as_mut().unwrap();
//! stdin.write_all(b"a line\n").await?; // EPIPE if the child has closed its end
//! child.wait().await?; // closes the child's stdin first
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```
//!
//! # Platforms
//!
//! On systems without SIGPIPE, this module is tokio's own.
//!
//! # Limits
//!
//! tokio's method `pre_exec` is missing, because it is unsafe. Call the one of std's `CommandExt`
//! on [`as_std_mut`](Command::as_std_mut).
//!
//! A child inherits the signal mask of the thread that starts it. On a thread under a guard, first
//! call [`default_in_child`](crate::sigpipe::default_in_child)`(command.as_std_mut())`.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command as StdCommand, ExitStatus, Output, Stdio};

use ::tokio::process;

#[doc(no_inline)]
pub use ::tokio::process::{ChildStderr, ChildStdout};

use crate::Guarded;

/// Starts children with a protected stdin. Like [`tokio::process::Command`].
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// use std::process::Stdio;
///
/// use epipe::tokio::process::Command;
///
/// let mut command = Command::new("sort");
/// command.arg("-r").env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped());
/// let mut child = command.spawn()?;
/// drop(child.stdin.take());
/// assert!(child.wait().await?.success());
///
/// assert!(Command::new("true").status().await?.success());
/// assert_eq!(Command::new("echo").arg("a line").output().await?.stdout, b"a line\n");
/// # Ok(())
/// # })
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// The other options and conversions:
///
/// ```no_run
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// use std::process::Stdio;
///
/// use epipe::tokio::process::Command;
///
/// let mut command = Command::new("/usr/bin/server");
/// command
///     .args(["--port", "80"])
///     .arg0("server") // the name that the program sees
///     .env_clear()
///     .envs([("LC_ALL", "C"), ("HOME", "/")])
///     .env_remove("HOME")
///     .current_dir("/srv")
///     .stderr(Stdio::null())
///     .uid(1000)
///     .gid(1000)
///     .process_group(0)
///     .kill_on_drop(true);
/// assert!(command.get_kill_on_drop());
/// println!("starts {:?}", command.as_std().get_program());
///
/// // **A child that one of these starts is not protected.**
/// let standard: &mut std::process::Command = command.as_std_mut();
/// let standard: std::process::Command = command.into_std();
/// let tokios: tokio::process::Command = Command::new("sort").into_unprotected();
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// # Limits
///
/// [`as_std_mut`](Command::as_std_mut) and [`into_std`](Command::into_std) give std's own type. A
/// child that *it* starts has std's stdin.
#[doc(alias = "popen")]
#[derive(Debug)]
pub struct Command {
    pub(crate) inner: process::Command,
}

/// tokio's methods return tokio's `Command`, and a chain of calls that ends there is not protected.
macro_rules! builders {
    ($(
        $(#[$meta:meta])*
        fn $name:ident $(<$($generic:ident: $bound:path),+>)? ($($arg:ident: $ty:ty),*);
    )+) => {$(
        $(#[$meta])*
        #[doc = concat!("Like [`tokio::process::Command::", stringify!($name), "`].")]
        pub fn $name $(<$($generic: $bound),+>)? (&mut self $(, $arg: $ty)*) -> &mut Command {
            self.inner.$name($($arg),*);
            self
        }
    )+};
}

impl Command {
    builders! {
        /// Adds an argument.
        fn arg<S: AsRef<OsStr>>(arg: S);
        /// Adds arguments.
        fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I);
        /// Sets an environment variable.
        fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(key: K, value: V);
        /// Sets environment variables.
        fn envs<I: IntoIterator<Item = (K, V)>, K: AsRef<OsStr>, V: AsRef<OsStr>>(vars: I);
        /// Removes an environment variable.
        fn env_remove<K: AsRef<OsStr>>(key: K);
        /// Removes all environment variables.
        fn env_clear();
        /// Sets the working directory.
        fn current_dir<P: AsRef<Path>>(dir: P);
        /// Sets the child's standard input.
        fn stdin<T: Into<Stdio>>(stdin: T);
        /// Sets the child's standard output.
        fn stdout<T: Into<Stdio>>(stdout: T);
        /// Sets the child's standard error.
        fn stderr<T: Into<Stdio>>(stderr: T);
        /// Sets whether a dropped child is killed.
        fn kill_on_drop(kill_on_drop: bool);
        /// Sets the user id.
        fn uid(id: u32);
        /// Sets the group id.
        fn gid(id: u32);
        /// Sets the name that the program sees as its first argument.
        fn arg0<S: AsRef<OsStr>>(arg: S);
        /// Sets the process group.
        fn process_group(group: i32);
    }

    /// Prepares to start a program. Like [`tokio::process::Command::new`].
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        process::Command::new(program).into()
    }

    /// Starts the child, whose stdin is protected. Like [`tokio::process::Command::spawn`].
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.inner.spawn().map(Child::from)
    }

    /// Runs the child to its end. It writes nothing to the child. Like
    /// [`tokio::process::Command::status`].
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        self.inner.status()
    }

    /// Runs the child to its end, and collects its output. It writes nothing to the child. Like
    /// [`tokio::process::Command::output`].
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.inner.output()
    }

    /// Returns whether a dropped child is killed. Like
    /// [`tokio::process::Command::get_kill_on_drop`].
    pub fn get_kill_on_drop(&self) -> bool {
        self.inner.get_kill_on_drop()
    }

    /// Borrows std's `Command`. Like [`tokio::process::Command::as_std`].
    pub fn as_std(&self) -> &StdCommand {
        self.inner.as_std()
    }

    /// Borrows std's `Command` mutably. **A child that std's `Command` starts is not
    /// protected.** Like [`tokio::process::Command::as_std_mut`].
    pub fn as_std_mut(&mut self) -> &mut StdCommand {
        self.inner.as_std_mut()
    }

    /// Returns std's `Command`. **The protection ends here.** Like
    /// [`tokio::process::Command::into_std`].
    pub fn into_std(self) -> StdCommand {
        self.inner.into_std()
    }

    /// Returns tokio's own type. **The protection ends here.**
    pub fn into_unprotected(self) -> process::Command {
        self.inner
    }
}

impl From<process::Command> for Command {
    fn from(inner: process::Command) -> Command {
        Command { inner }
    }
}

impl From<StdCommand> for Command {
    fn from(command: StdCommand) -> Command {
        process::Command::from(command).into()
    }
}

/// A child whose stdin is protected. Like [`tokio::process::Child`].
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// use std::process::Stdio;
///
/// use epipe::tokio::io::AsyncWriteExt;
/// use epipe::tokio::process::Command;
///
/// let mut command = Command::new("cat");
/// command.stdin(Stdio::piped()).stdout(Stdio::piped());
/// let mut child = command.spawn()?;
/// child.stdin.as_mut().unwrap().write_all(b"a line\n").await?;
/// let output = child.wait_with_output().await?; // closes the child's stdin first
/// assert_eq!(output.stdout, b"a line\n");
///
/// let mut child = command.spawn()?;
/// println!("process {:?}", child.id());
/// assert!(child.try_wait()?.is_none()); // it still reads
/// child.start_kill()?; // sends the signal
/// assert!(!child.wait().await?.success());
/// command.spawn()?.kill().await?; // sends the signal, and waits for the end
///
/// // For code that asks for tokio's type. **The protection ends here.**
/// let mut unprotected: tokio::process::Child = command.spawn()?.into_unprotected();
/// # unprotected.kill().await?;
/// # Ok(())
/// # })
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct Child {
    /// Without its three streams, which are in the fields below.
    inner: process::Child,
    /// The pipe that the child reads, if there is one.
    pub stdin: Option<ChildStdin>,
    /// The pipe of the child's output, if there is one. It is tokio's own type, which only reads.
    pub stdout: Option<ChildStdout>,
    /// The pipe of the child's errors, if there is one. It is tokio's own type, which only reads.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    /// Returns the process id, or `None` after the end. Like [`tokio::process::Child::id`].
    pub fn id(&self) -> Option<u32> {
        self.inner.id()
    }

    /// Closes the child's stdin, and waits for its end. Like [`tokio::process::Child::wait`].
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.inner.wait().await
    }

    /// Returns the exit status if the child has ended. Like [`tokio::process::Child::try_wait`].
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.inner.try_wait()
    }

    /// Sends SIGKILL, and does not wait. Like [`tokio::process::Child::start_kill`].
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.inner.start_kill()
    }

    /// Sends SIGKILL, and waits for the end. Like [`tokio::process::Child::kill`].
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }

    /// Closes the child's stdin, waits for its end and collects its output. Like
    /// [`tokio::process::Child::wait_with_output`].
    pub async fn wait_with_output(self) -> io::Result<Output> {
        self.into_unprotected().wait_with_output().await
    }

    /// Returns tokio's own type. **The protection ends here.**
    pub fn into_unprotected(self) -> process::Child {
        let Child { mut inner, stdin, stdout, stderr } = self;
        inner.stdin = stdin.map(ChildStdin::into_unprotected);
        (inner.stdout, inner.stderr) = (stdout, stderr);
        inner
    }
}

impl From<process::Child> for Child {
    fn from(mut inner: process::Child) -> Child {
        let stdin = inner.stdin.take().map(ChildStdin::from);
        Child { stdin, stdout: inner.stdout.take(), stderr: inner.stderr.take(), inner }
    }
}

/// A child's stdin that reports a vanished reader as an error, never as a signal.
///
/// Like [`tokio::process::ChildStdin`], which is inside.
///
/// # Cost
///
/// Each poll runs under a guard. A [`Sender`](super::net::unix::pipe::Sender) needs none on Linux
/// 6.18: `Sender::from_owned_fd(stdin.into_owned_fd()?)?`.
///
/// # Limits
///
/// A write through the borrowed descriptor is not protected: see [`Guarded`].
pub type ChildStdin = Guarded<process::ChildStdin>;

impl ChildStdin {
    /// Adopts the stdin of a child that std started. Like
    /// [`tokio::process::ChildStdin::from_std`].
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// use std::os::fd::OwnedFd;
    /// use std::process::{Command, Stdio};
    ///
    /// use epipe::tokio::process::ChildStdin;
    ///
    /// let mut child = Command::new("true").stdin(Stdio::piped()).spawn()?;
    /// let stdin = ChildStdin::from_std(child.stdin.take().unwrap())?;
    ///
    /// // **The protection ends here.**
    /// let tokios: tokio::process::ChildStdin = stdin.into_unprotected();
    /// let fd: OwnedFd = ChildStdin::from(tokios).into_owned_fd()?;
    /// # drop(fd);
    /// # child.wait()?;
    /// # Ok(())
    /// # })
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    pub fn from_std(inner: std::process::ChildStdin) -> io::Result<ChildStdin> {
        process::ChildStdin::from_std(inner).map(Guarded::new)
    }

    /// Returns the descriptor. **The protection ends here.** Like
    /// [`tokio::process::ChildStdin::into_owned_fd`].
    ///
    /// ```
    /// # use epipe::tokio::process::ChildStdin;
    /// # fn f(stdin: ChildStdin) -> std::io::Result<()> {
    /// let fd: std::os::fd::OwnedFd = stdin.into_owned_fd()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        self.into_inner().into_owned_fd()
    }

    /// Returns tokio's own type. **The protection ends here.**
    ///
    /// ```
    /// # fn f(stdin: epipe::tokio::process::ChildStdin) {
    /// let unprotected: tokio::process::ChildStdin = stdin.into_unprotected();
    /// # }
    /// ```
    pub fn into_unprotected(self) -> process::ChildStdin {
        self.into_inner()
    }
}

impl From<process::ChildStdin> for ChildStdin {
    fn from(inner: process::ChildStdin) -> ChildStdin {
        Guarded::new(inner)
    }
}

impl TryFrom<ChildStdin> for Stdio {
    type Error = io::Error;

    /// For another child, which writes with its own calls. **The protection ends here.**
    fn try_from(stdin: ChildStdin) -> io::Result<Stdio> {
        stdin.into_inner().try_into()
    }
}
