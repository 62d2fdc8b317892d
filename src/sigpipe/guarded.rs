#![allow(unsafe_code, reason = "the drop of what is inside has to run under the guard")]

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::mem::ManuallyDrop;

use super::{guard, suppressed};
use crate::shared::SharedWrite;
use crate::sys::handle::adapter_traits;

/// Anything that writes by itself, made to report a vanished peer as an error, never as a signal.
///
/// For what must not be passed by: standard output and error, which buffer; boxed and foreign
/// writers; a type of your own that counts or encodes. Each call of `Write`, `Read` and `Seek`, and
/// the drop, runs under a [`guard`](guard()), three system calls. Where bytes may go straight to a
/// descriptor, [`NoSigpipe`](crate::NoSigpipe) is cheaper.
///
/// ```
/// use std::io::Write;
///
/// let mut out = epipe::Guarded::new(std::io::stdout());
/// writeln!(out, "a line")?; // one guard for the whole line
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// Those of the call itself, and those of [`guard`](guard()): the call was not made then. The drop
/// runs in any case.
///
/// # Limits
///
/// * [`get_ref`](Guarded::get_ref), [`get_mut`](Guarded::get_mut) and the borrowed handles show `T`
///   itself: what is written through them is not protected.
/// * What [`Stdout`](io::Stdout) still holds when `main` ends, std writes outside the guard: flush
///   before. After a failed flush std still holds those bytes, and tries once more when a Rust
///   `main` returns. Where that can kill, end `main` under a [`guard`](guard()) that is forgotten
///   (`std::mem::forget`).
/// * A thread that `T` hands its bytes to is not protected: a guard is its own thread's.
pub struct Guarded<T> {
    inner: ManuallyDrop<T>,
}

impl<T> Guarded<T> {
    /// Takes a writer into protection. It makes no system call.
    pub fn new(inner: T) -> Guarded<T> {
        Guarded { inner: ManuallyDrop::new(inner) }
    }

    /// Shows the writer. What is written through it is not protected.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Shows the writer to be changed. What is written through it is not protected.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Gives the writer back. **The protection ends here.**
    pub fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither dropped nor used again.
        unsafe { ManuallyDrop::take(&mut this.inner) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        let _guard = guard();
        // SAFETY: it is dropped once: `into_inner`, which takes it, does not come here.
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
