#![allow(unsafe_code, reason = "the drop of what is inside has to run under the guard")]

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::mem::{ManuallyDrop, needs_drop};

use super::{guard, suppressed};
use crate::shared::SharedWrite;
use crate::sys::handle::adapter_traits;

/// Makes any writer report a vanished peer as an error, never as a signal.
///
/// For writers whose own `write` must run: boxed and foreign writers, or your own type that
/// buffers, counts or encodes. [`io::stdout`](crate::io::stdout) and
/// [`stderr`](crate::io::stderr) return one. If the bytes may go directly to a descriptor,
/// [`NoSigpipe`](crate::NoSigpipe) is cheaper.
///
/// Each call of `Write`, `Read` and `Seek`, and the drop, runs under a [`guard`](guard()). On Linux
/// that is three system calls for each call, and five for the drop. Each poll of an asynchronous
/// writer also runs under one: of tokio's traits with the feature `tokio`, of futures-io's with
/// `async-io`.
///
/// ```
/// use std::io::{BufWriter, Write};
///
/// let foreign: Box<dyn Write> = Box::new(std::io::stderr()); // of another crate
/// let mut writer = epipe::Guarded::new(BufWriter::new(foreign));
/// writeln!(writer, "a line")?; // one guard for the whole line
/// writer.flush()?;
///
/// assert!(writer.get_ref().buffer().is_empty());
/// writer.get_mut().flush()?; // not protected: this is `BufWriter`'s own `flush`
/// let unprotected: BufWriter<_> = writer.into_inner();
/// # drop(unprotected);
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// Those of the call, and those of [`guard`](guard()). If the guard fails, the call was not made.
/// The drop runs in any case.
///
/// # Limits
///
/// * [`get_ref`](Guarded::get_ref), [`get_mut`](Guarded::get_mut) and the borrowed handles show
///   `T`: a write through them is not protected. [`into_inner`](Guarded::into_inner), `into_raw_fd`
///   and `Into<OwnedFd>` end the protection.
/// * Flush before `main` ends: std writes what [`Stdout`](io::Stdout) still holds, outside the
///   guard. After a failed flush std keeps those bytes, and tries again when a Rust `main` returns.
///   Where that can kill, end `main` under a [`guard`](guard()) that is forgotten
///   (`std::mem::forget`).
/// * A thread that receives its bytes from `T` is not protected: a guard protects only its own
///   thread. tokio's own `stdout()`, `tokio::fs::File` and `blocking::Unblock` have such threads.
#[doc(alias("SIGPIPE", "EPIPE", "atexit"))]
pub struct Guarded<T> {
    inner: ManuallyDrop<T>,
}

impl<T> Guarded<T> {
    /// Takes a writer into protection. It makes no system call.
    pub fn new(inner: T) -> Guarded<T> {
        Guarded { inner: ManuallyDrop::new(inner) }
    }

    /// Borrows the writer. A write through it is not protected.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Borrows the writer mutably. A write through it is not protected.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Returns the writer. **The protection ends here.**
    pub fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither dropped nor used again.
        unsafe { ManuallyDrop::take(&mut this.inner) }
    }
}

impl<T: io::IsTerminal> Guarded<T> {
    /// Reports whether the writer is a terminal.
    ///
    /// Like [`std::io::IsTerminal::is_terminal`]. std's trait is sealed, so this type cannot
    /// implement it. To a function that requires the trait, pass [`get_ref`](Guarded::get_ref).
    ///
    /// ```
    /// let output = epipe::io::stdout();
    /// println!("colours: {}", output.is_terminal());
    /// ```
    #[doc(alias = "isatty")]
    pub fn is_terminal(&self) -> bool {
        self.inner.is_terminal()
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // `Stdout` has nothing to drop: a guard for each temporary one would only cost time.
        let _guard = needs_drop::<T>().then(guard);
        // SAFETY: it is dropped once. `into_inner`, which takes the value, prevents this drop.
        unsafe { ManuallyDrop::drop(&mut self.inner) };
    }
}

impl<T: Write> Write for Guarded<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        suppressed(|| self.inner.write(buf))?
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        suppressed(|| self.inner.write_vectored(bufs))?
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        suppressed(|| self.inner.write_all(buf))?
    }

    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        suppressed(|| self.inner.write_fmt(args))?
    }

    fn flush(&mut self) -> io::Result<()> {
        suppressed(|| self.inner.flush())?
    }
}

impl<T: Read> Read for Guarded<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        suppressed(|| self.inner.read(buf))?
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        suppressed(|| self.inner.read_vectored(bufs))?
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        suppressed(|| self.inner.read_to_end(buf))?
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        suppressed(|| self.inner.read_to_string(buf))?
    }
}

impl<T: Seek> Seek for Guarded<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        suppressed(|| self.inner.seek(to))?
    }
}

impl<T: SharedWrite> Write for &Guarded<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        suppressed(|| self.inner.writer().write(buf))?
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        suppressed(|| self.inner.writer().write_vectored(bufs))?
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        suppressed(|| self.inner.writer().write_all(buf))?
    }

    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        suppressed(|| self.inner.writer().write_fmt(args))?
    }

    fn flush(&mut self) -> io::Result<()> {
        suppressed(|| self.inner.writer().flush())?
    }
}

impl<T: fmt::Debug> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&*self.inner).finish()
    }
}

adapter_traits!(Guarded);
