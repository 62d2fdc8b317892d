//! Standard output and error that report a vanished reader as an error, never as a signal.
//!
//! Like [`tokio::io`]. Its other names are also here, except its module `unix`.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! use epipe::tokio::io::{self, AsyncWriteExt, Stderr, Stdout}; // was: tokio::io
//!
//! let mut out: Stdout = io::stdout();
//! out.write_all(b"a line\n").await?;
//! out.flush().await?; // waits for the write, and reports its error
//!
//! let mut err: Stderr = io::stderr();
//! err.write_all(b"a message\n").await?;
//! err.flush().await
//! # })
//! # }
//! ```
//!
//! # Limits
//!
//! [`tokio::fs::File`](https://docs.rs/tokio/latest/tokio/fs/struct.File.html) writes on tokio's
//! threads: see [`guard_threads`](super::guard_threads).

#[doc(no_inline)]
pub use ::tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite,
    AsyncWriteExt, BufReader, BufStream, BufWriter, Chain, DuplexStream, Empty, Error, ErrorKind,
    Interest, Join, Lines, ReadBuf, ReadHalf, Ready, Repeat, Result, SeekFrom, SimplexStream, Sink,
    Split, Stdin, Take, WriteHalf, copy, copy_bidirectional, copy_bidirectional_with_sizes,
    copy_buf, duplex, empty, join, repeat, simplex, sink, split, stdin,
};

/// On systems without SIGPIPE, tokio's own.
#[cfg(not(sigpipe))]
use ::tokio::io as standard;
pub use standard::{Stderr, Stdout, stderr, stdout};

#[cfg(sigpipe)]
mod standard {
    use std::io::{self, Result, Write};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use ::tokio::io::AsyncWrite;
    use ::tokio::runtime::Handle;
    use ::tokio::task::JoinHandle;

    use crate::sigpipe::suppressed;

    /// The most bytes that one write takes, as in tokio.
    const MOST: usize = 2 << 20;

    /// Standard output or error that reports a vanished reader as an error, never as a signal.
    ///
    /// Like [`tokio::io::Stdout`]. One of tokio's blocking threads writes, under a guard.
    ///
    /// # Errors
    ///
    /// The next call reports the error of a write, so flush or shut down before the end. A call
    /// outside a runtime is an error. If the runtime ends during a write, the bytes are still
    /// written, and the call that waits for them returns an error.
    ///
    /// # Panics
    ///
    /// As `tokio::task::spawn_blocking`, if the system can start no thread.
    ///
    /// # Limits
    ///
    /// * A write that waits for its reader keeps the runtime from ending.
    /// * After a failed flush, std keeps the bytes and writes them once more when `main` ends: see
    ///   [`Guarded`](crate::Guarded).
    /// * A write through the borrowed descriptor is not protected.
    #[derive(Debug)]
    pub struct Standard<W> {
        std: W,
        open: fn() -> W,
        running: Option<JoinHandle<Result<()>>>,
        needs_flush: bool,
    }

    /// Standard output, protected. Like [`tokio::io::Stdout`].
    pub type Stdout = Standard<io::Stdout>;

    /// Standard error, protected. Like [`tokio::io::Stderr`].
    pub type Stderr = Standard<io::Stderr>;

    /// Returns standard output, protected. Like [`tokio::io::stdout`].
    pub fn stdout() -> Stdout {
        Standard { std: io::stdout(), open: io::stdout, running: None, needs_flush: false }
    }

    /// Returns standard error, protected. Like [`tokio::io::stderr`].
    pub fn stderr() -> Stderr {
        Standard { std: io::stderr(), open: io::stderr, running: None, needs_flush: false }
    }

    /// A job that loses no byte: a runtime that ends drops each job that it has not begun, and then
    /// the drop runs the job.
    struct Job<F: FnOnce() -> Result<()>>(Option<F>);

    impl<F: FnOnce() -> Result<()>> Job<F> {
        fn run(&mut self) -> Result<()> {
            self.0.take().map_or(Ok(()), |job| suppressed(job)?)
        }
    }

    impl<F: FnOnce() -> Result<()>> Drop for Job<F> {
        fn drop(&mut self) {
            let _ = self.run();
        }
    }

    impl<W> Standard<W> {
        fn start(&mut self, job: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
            let runtime = Handle::try_current().map_err(io::Error::other)?;
            let mut job = Job(Some(job));
            self.running = Some(runtime.spawn_blocking(move || job.run()));
            Ok(())
        }

        fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
            let Some(running) = &mut self.running else {
                return Poll::Ready(Ok(()));
            };
            let answer = ready!(Pin::new(running).poll(cx));
            self.running = None;
            Poll::Ready(answer?)
        }
    }

    impl<W: Write + Unpin + 'static> AsyncWrite for Standard<W> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<Result<usize>> {
            ready!(self.poll_done(cx))?;
            let bytes = buf[..buf.len().min(MOST)].to_vec();
            let (taken, open) = (bytes.len(), self.open);
            self.start(move || open().write_all(&bytes))?;
            self.needs_flush = true;
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
            ready!(self.poll_done(cx))?;
            if self.needs_flush {
                let open = self.open;
                self.start(move || open().flush())?;
                self.needs_flush = false;
            }
            self.poll_done(cx)
        }

        /// Flushes, as the trait requires. tokio's own reports success before the bytes are
        /// written.
        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
            self.poll_flush(cx)
        }
    }

    impl<W: AsFd> AsFd for Standard<W> {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.std.as_fd()
        }
    }

    impl<W: AsRawFd> AsRawFd for Standard<W> {
        fn as_raw_fd(&self) -> RawFd {
            self.std.as_raw_fd()
        }
    }
}
