use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use crate::adopt::{Adopt, AdoptError, Direct, Shared, Through};
use crate::sigpipe::suppressed;
use crate::sys::{self, Handle, HandleShield, ShieldHandle, handle};

/// Any handle that you cannot replace, made to report a vanished peer as an error, never as a
/// signal.
///
/// For what other code gives you: a child's stdin, a `File` that is a FIFO, standard output, a
/// descriptor, a socket of mio or tokio. Where you create the handle yourself, the types of
/// [`net`](crate::net), [`io`](crate::io) and [`Socket`](crate::Socket) are the ones to take. What `T`
/// can do besides, [`get_ref`](NoSigpipe::get_ref) shows: `stream.get_ref().set_nodelay(true)?`.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// use std::io::Write;
/// use std::process::{Command, Stdio};
///
/// use epipe::NoSigpipe;
///
/// let mut child = Command::new("true").stdin(Stdio::piped()).spawn()?;
/// let mut stdin = NoSigpipe::new(child.stdin.take().unwrap())?;
/// child.wait()?; // nobody reads any more
/// let error = stdin.write(b"a line\n").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// How it writes is a matter of the type: see [`Adopt`]. It reads, seeks and is borrowed as `T` is.
///
/// # Cost
///
/// One system call at adoption, which asks what the descriptor is; for a socket two more on Apple,
/// FreeBSD, NetBSD and DragonFly. After that a [`Direct`](crate::adopt::Direct) write of a socket is
/// one system call as before, that of a pipe costs what
/// [`PipeWriter`](crate::io::PipeWriter)'s does, and that of a regular file nothing. On the route
/// [`Through`](crate::adopt::Through) each write, read and seek costs a
/// [`guard`](crate::sigpipe::guard()), three system calls.
///
/// # Limits
///
/// * [`get_ref`](NoSigpipe::get_ref) and the borrowed handles show `T` itself: what is written
///   through them is not protected.
/// * What `T` keeps in a buffer is written when it likes. A buffer that is written out when `T` is
///   dropped, or by std at the end of `main` ([`Stdout`](std::io::Stdout)), is written outside the
///   guard: flush before. After a failed flush std still holds those bytes, and tries once more when
///   a Rust `main` returns; where that can kill, end `main` under a [`guard`](crate::sigpipe::guard())
///   that is forgotten (`std::mem::forget`).
/// * The descriptor is asked once. Where somebody puts a pipe or a socket in the place of a *regular
///   file* (`dup2`, as programs do that reopen their log), a [`Direct`](crate::adopt::Direct) write
///   to it kills: call [`get_mut`](NoSigpipe::get_mut) after the swap. Every other swap is noticed,
///   except on Apple, where what was set on the old file is counted on.
pub struct NoSigpipe<T> {
    inner: T,
    care: Care,
}

impl<T: Adopt> NoSigpipe<T> {
    /// Adopts a handle: finds out whether it is a socket, a pipe or something else, and protects a
    /// socket (see [`raw`](crate::raw) for what is set on it where). A pipe is left as it is until the
    /// first write.
    ///
    /// # Errors
    ///
    /// `EBADF` if the descriptor is not open; the error gives the handle back. Nothing else is
    /// refused, and where no SIGPIPE exists nothing at all.
    pub fn new(handle: T) -> Result<NoSigpipe<T>, AdoptError<T>> {
        let care = Care::default();
        match care.0.adopt(&handle) {
            Ok(()) => Ok(NoSigpipe {
                inner: handle,
                care,
            }),
            Err(error) => Err(AdoptError::new(handle, error)),
        }
    }
}

impl<T> NoSigpipe<T> {
    /// Takes a handle of which this much is known.
    #[allow(dead_code)] // the halves of tokio's sockets are such
    pub(crate) fn with(handle: T, care: Care) -> NoSigpipe<T> {
        NoSigpipe {
            inner: handle,
            care,
        }
    }

    /// The handle, and what is known of it.
    #[allow(dead_code)] // for the features
    pub(crate) fn parts(&self) -> (&T, &Care) {
        (&self.inner, &self.care)
    }

    /// The handle, to be polled or registered: it stays what it is.
    #[allow(dead_code)] // for the features
    pub(crate) fn handle_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Shows the handle. What is written through it is not protected.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Shows the handle to be changed, and forgets what it was: the next write finds out again.
    ///
    /// What is written through it is not protected.
    pub fn get_mut(&mut self) -> &mut T {
        self.care = Care::default();
        &mut self.inner
    }

    /// Gives the handle back. **The protection ends here.**
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T> Write for NoSigpipe<T>
where
    T: Adopt,
    T::Route: for<'a> Writes<&'a mut T>,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        T::Route::writer(&mut self.inner, &self.care).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        T::Route::writer(&mut self.inner, &self.care).write_vectored(bufs)
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        T::Route::writer(&mut self.inner, &self.care).write_all(buf)
    }

    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        T::Route::writer(&mut self.inner, &self.care).write_fmt(args)
    }

    fn flush(&mut self) -> io::Result<()> {
        T::Route::writer(&mut self.inner, &self.care).flush()
    }
}

impl<T> Write for &NoSigpipe<T>
where
    T: Adopt,
    T::Route: for<'a> Writes<&'a T>,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        T::Route::writer(&self.inner, &self.care).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        T::Route::writer(&self.inner, &self.care).write_vectored(bufs)
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        T::Route::writer(&self.inner, &self.care).write_all(buf)
    }

    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        T::Route::writer(&self.inner, &self.care).write_fmt(args)
    }

    fn flush(&mut self) -> io::Result<()> {
        T::Route::writer(&self.inner, &self.care).flush()
    }
}

impl<T: Adopt + Read> Read for NoSigpipe<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        T::Route::run(|| self.inner.read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        T::Route::run(|| self.inner.read_vectored(bufs))
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        T::Route::run(|| self.inner.read_to_end(buf))
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        T::Route::run(|| self.inner.read_to_string(buf))
    }
}

impl<T> Read for &NoSigpipe<T>
where
    T: Adopt,
    for<'a> &'a T: Read,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        T::Route::run(|| (&self.inner).read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        T::Route::run(|| (&self.inner).read_vectored(bufs))
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        T::Route::run(|| (&self.inner).read_to_end(buf))
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        T::Route::run(|| (&self.inner).read_to_string(buf))
    }
}

impl<T: Adopt + Seek> Seek for NoSigpipe<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        T::Route::run(|| self.inner.seek(to))
    }
}

impl<T: fmt::Debug> fmt::Debug for NoSigpipe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoSigpipe").field(&self.inner).finish()
    }
}

handle::adapter_handles!(NoSigpipe);

// --------------------------------------------------------------------------- the routes ----

/// What an adapter remembers of its handle.
#[derive(Default)]
#[allow(missing_debug_implementations)] // nobody outside sees it
pub struct Care(HandleShield);

impl Care {
    /// The same, for another handle of the same descriptor.
    #[allow(dead_code)] // the halves of tokio's sockets are such
    pub(crate) fn shared(&self) -> Care {
        Care(self.0.shared())
    }

    pub(crate) fn write<H: Handle>(
        &self,
        handle: &mut H,
        buf: &[u8],
        plain: impl FnOnce(&mut H) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.0.write(handle, buf, plain)
    }

    pub(crate) fn write_vectored<H: Handle>(
        &self,
        handle: &mut H,
        bufs: &[IoSlice<'_>],
        plain: impl FnOnce(&mut H) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.0.write_vectored(handle, bufs, plain)
    }
}

/// How a write reaches the descriptor: one of [`Direct`], [`Through`], and what pointers and bare
/// descriptors have. It cannot be implemented elsewhere.
pub trait Route: Sealed {
    /// Makes a call of the handle's own that is no write, and may write all the same.
    #[doc(hidden)]
    fn run<A>(call: impl FnOnce() -> io::Result<A>) -> io::Result<A> {
        call()
    }
}

/// Keeps [`Route`] to this crate.
pub trait Sealed {}

impl Sealed for Direct {}
impl Route for Direct {}

impl Sealed for crate::adopt::Descriptor {}
impl Route for crate::adopt::Descriptor {}

impl Sealed for Through {}
impl Route for Through {
    fn run<A>(call: impl FnOnce() -> io::Result<A>) -> io::Result<A> {
        suppressed(call)?
    }
}

impl<R: Route> Sealed for Shared<R> {}
impl<R: Route> Route for Shared<R> {
    fn run<A>(call: impl FnOnce() -> io::Result<A>) -> io::Result<A> {
        R::run(call)
    }
}

/// A route along which an `H` can be written to; `H` is a reference to the handle.
#[diagnostic::on_unimplemented(
    message = "the handle in this `NoSigpipe` cannot be written to by `Write`",
    note = "`NoSigpipe<T>` is `Write` if `T` is, and `&NoSigpipe<T>` if `&T` is; tokio's handles are \
            `AsyncWrite`"
)]
pub trait Writes<H> {
    fn writer(handle: H, care: &Care) -> impl Write;
}

impl<H: Write + Handle> Writes<H> for Direct {
    fn writer(handle: H, care: &Care) -> impl Write {
        Straight { handle, care }
    }
}

impl<H: Write> Writes<H> for Through {
    fn writer(handle: H, _: &Care) -> impl Write {
        Guarded(handle)
    }
}

sys::only_fd! {
    impl<H: std::os::fd::AsFd> Writes<H> for crate::adopt::Descriptor {
        fn writer(handle: H, care: &Care) -> impl Write {
            Straight { handle: sys::handle::Plain(handle), care }
        }
    }
}

impl<'a, T, R: Writes<&'a T>> Writes<&'a Arc<T>> for Shared<R> {
    fn writer(handle: &'a Arc<T>, care: &Care) -> impl Write {
        R::writer(&**handle, care)
    }
}

impl<'a, T, R: Writes<&'a T>> Writes<&'a mut Arc<T>> for Shared<R> {
    fn writer(handle: &'a mut Arc<T>, care: &Care) -> impl Write {
        R::writer(&**handle, care)
    }
}

/// [`Direct`], and that of bare descriptors.
struct Straight<'a, H> {
    handle: H,
    care: &'a Care,
}

impl<H: Write + Handle> Write for Straight<'_, H> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let plain = |handle: &mut H| handle.write(buf);
        self.care.write(&mut self.handle, buf, plain)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let plain = |handle: &mut H| handle.write_vectored(bufs);
        self.care.write_vectored(&mut self.handle, bufs, plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.handle.flush()
    }
}

/// [`Through`]. What writes more than once stands under one guard, as the type has it under one
/// lock.
struct Guarded<H>(H);

impl<H: Write> Write for Guarded<H> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Through::run(|| self.0.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Through::run(|| self.0.write_vectored(bufs))
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        Through::run(|| self.0.write_all(buf))
    }

    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        Through::run(|| self.0.write_fmt(args))
    }

    fn flush(&mut self) -> io::Result<()> {
        Through::run(|| self.0.flush())
    }
}
