//! Children whose stdin reports a vanished reader as an error, never as a signal. Like
//! [`tokio::process`]: the same names and methods.
//!
//! ```
//! # #[cfg(unix)]
//! # async fn f() -> std::io::Result<()> {
//! use epipe::tokio::io::AsyncWriteExt;
//! use epipe::tokio::process::Command; // was: tokio::process::Command
//! use std::process::Stdio;
//!
//! let mut child = Command::new("sort").stdin(Stdio::piped()).spawn()?;
//! child.stdin.as_mut().unwrap().write_all(b"a line\n").await?; // EPIPE if it reads no more
//! child.wait().await?; // which closes its stdin
//! # Ok(())
//! # }
//! ```
//!
//! # Platforms
//!
//! Where there is no SIGPIPE, this module is tokio's own.
//!
//! # Limits
//!
//! `pre_exec` is tokio's one method that is missing, because it is unsafe: std's `CommandExt` has
//! it, on [`as_std_mut`](Command::as_std_mut).
//!
//! A child inherits the signal mask of the thread that starts it. On a thread under a guard call
//! [`default_in_child`](crate::sigpipe::default_in_child)`(command.as_std_mut())` first.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command as StdCommand, ExitStatus, Output, Stdio};

use ::tokio::process;

pub use ::tokio::process::{ChildStderr, ChildStdout};

use crate::Guarded;

/// Starts children with a protected stdin. Like [`tokio::process::Command`].
///
/// # Limits
///
/// What [`as_std_mut`](Command::as_std_mut) and [`into_std`](Command::into_std) show is std's own:
/// a child that *it* starts has std's stdin.
#[derive(Debug)]
pub struct Command {
    pub(crate) inner: process::Command,
}

/// tokio's return its own `Command`, and a chain of calls that ends there is not protected.
macro_rules! builders {
    ($(
        fn $name:ident $(<$($generic:ident: $bound:path),+>)? ($($arg:ident: $ty:ty),*);
    )+) => {$(
        #[doc = concat!("Like [`tokio::process::Command::", stringify!($name), "`].")]
        pub fn $name $(<$($generic: $bound),+>)? (&mut self $(, $arg: $ty)*) -> &mut Command {
            self.inner.$name($($arg),*);
            self
        }
    )+};
}

impl Command {
    builders! {
        fn arg<S: AsRef<OsStr>>(arg: S);
        fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I);
        fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(key: K, value: V);
        fn envs<I: IntoIterator<Item = (K, V)>, K: AsRef<OsStr>, V: AsRef<OsStr>>(vars: I);
        fn env_remove<K: AsRef<OsStr>>(key: K);
        fn env_clear();
        fn current_dir<P: AsRef<Path>>(dir: P);
        fn stdin<T: Into<Stdio>>(stdin: T);
        fn stdout<T: Into<Stdio>>(stdout: T);
        fn stderr<T: Into<Stdio>>(stderr: T);
        fn kill_on_drop(kill_on_drop: bool);
        fn uid(id: u32);
        fn gid(id: u32);
        fn arg0<S: AsRef<OsStr>>(arg: S);
        fn process_group(group: i32);
    }

    /// Like [`tokio::process::Command::new`].
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        process::Command::new(program).into()
    }

    /// Like [`tokio::process::Command::spawn`]; the child's stdin is protected.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.inner.spawn().map(Child::from)
    }

    /// Like [`tokio::process::Command::status`], which writes nothing to the child.
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        self.inner.status()
    }

    /// Like [`tokio::process::Command::output`], which writes nothing to the child.
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.inner.output()
    }

    /// Like [`tokio::process::Command::get_kill_on_drop`].
    pub fn get_kill_on_drop(&self) -> bool {
        self.inner.get_kill_on_drop()
    }

    /// Like [`tokio::process::Command::as_std`].
    pub fn as_std(&self) -> &StdCommand {
        self.inner.as_std()
    }

    /// Like [`tokio::process::Command::as_std_mut`]. **A child that std's `Command` starts is not
    /// protected.**
    pub fn as_std_mut(&mut self) -> &mut StdCommand {
        self.inner.as_std_mut()
    }

    /// Like [`tokio::process::Command::into_std`]. **The protection ends here.**
    pub fn into_std(self) -> StdCommand {
        self.inner.into_std()
    }

    /// Gives tokio's own type. **The protection ends here.**
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
#[derive(Debug)]
pub struct Child {
    /// It holds none of the three below.
    inner: process::Child,
    /// What the child reads, if it is a pipe.
    pub stdin: Option<ChildStdin>,
    /// What the child writes, if it is a pipe: tokio's own type, which only reads.
    pub stdout: Option<ChildStdout>,
    /// The same of its errors.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    /// Like [`tokio::process::Child::id`].
    pub fn id(&self) -> Option<u32> {
        self.inner.id()
    }

    /// Like [`tokio::process::Child::wait`]: closes the child's stdin first.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.inner.wait().await
    }

    /// Like [`tokio::process::Child::try_wait`].
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.inner.try_wait()
    }

    /// Like [`tokio::process::Child::start_kill`].
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.inner.start_kill()
    }

    /// Like [`tokio::process::Child::kill`].
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }

    /// Like [`tokio::process::Child::wait_with_output`]: closes the child's stdin first.
    pub async fn wait_with_output(self) -> io::Result<Output> {
        self.into_unprotected().wait_with_output().await
    }

    /// Gives tokio's own type. **The protection ends here.**
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

/// What a child reads: a write reports a vanished reader as an error, never as a signal. Like
/// [`tokio::process::ChildStdin`], which is inside.
///
/// # Cost
///
/// Each poll runs under a guard. A [`Sender`](super::net::unix::pipe::Sender) needs none on Linux
/// 6.18: `Sender::from_owned_fd(stdin.into_owned_fd()?)?`.
///
/// # Limits
///
/// What is written through the borrowed descriptor is not protected: see [`Guarded`].
pub type ChildStdin = Guarded<process::ChildStdin>;

impl ChildStdin {
    /// Like [`tokio::process::ChildStdin::from_std`].
    pub fn from_std(inner: std::process::ChildStdin) -> io::Result<ChildStdin> {
        process::ChildStdin::from_std(inner).map(Guarded::new)
    }

    /// Like [`tokio::process::ChildStdin::into_owned_fd`]. **The protection ends here.**
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        self.into_inner().into_owned_fd()
    }

    /// Gives tokio's own type. **The protection ends here.**
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

    /// **The protection ends here**: what another child writes is its own.
    fn try_from(stdin: ChildStdin) -> io::Result<Stdio> {
        stdin.into_inner().try_into()
    }
}
