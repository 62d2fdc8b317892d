//! FIFOs: named pipes, which are made and opened by a path, and never block by surprise.
//!
//! To open a FIFO waits for the other side, without a limit, and to open what is *not* one may act:
//! a device can rewind a tape or hang. Here what is there is looked at first, and opened only if it
//! is a FIFO. The handles are **non-blocking** until `set_nonblocking(false)` is called on them.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::time::{Duration, Instant};
//!
//! use epipe_util::fifo;
//!
//! # let path = std::env::temp_dir().join(format!("epipe-doc-fifo-{}", std::process::id()));
//! let soon = || Instant::now() + Duration::from_secs(5);
//! fifo::create(&path, 0o600)?;
//! let nobody_reads = fifo::open_write(&path, None).unwrap_err();
//! # assert_eq!(nobody_reads.raw_os_error(), Some(libc::ENXIO));
//!
//! # let its = path.clone();
//! let other_side = std::thread::spawn(move || -> std::io::Result<()> {
//!     fifo::open_write(&its, Some(soon()))?.write_all(b"hello")
//! });
//! let mut reader = fifo::open_read(&path, soon())?; // the first bytes have come
//! reader.set_nonblocking(false)?;
//! let mut said = String::new();
//! reader.read_to_string(&mut said)?;
//! assert_eq!(said, "hello");
//! # other_side.join().unwrap()?;
//! # std::fs::remove_file(path)?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # Limits
//!
//! Between the look and the call that follows, whoever may write to the folder can put something
//! else there. It is noticed when it has been opened, which then is an error, but a device has been
//! opened by then; and rights may have been set on another file by
//! [`create`]. Use a folder to which others cannot write.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use epipe::io::{PipeReader, PipeWriter};

use crate::sys::{self, error_at};

/// Makes a FIFO with exactly these rights, whatever the umask.
///
/// # Errors
///
/// `AlreadyExists`, whatever is there; `InvalidInput` for a mode beyond `0o777`; those of `mkfifo`
/// and `chmod`, after which none is left behind.
pub fn create<P: AsRef<Path>>(path: P, mode: u32) -> io::Result<()> {
    let path = path.as_ref();
    sys::check_mode(path, mode)?;
    sys::make_fifo(path, mode)?;
    let made = look(path).and_then(|()| sys::set_rights(path, mode));
    made.inspect_err(|error| {
        // What has taken its place is not ours to remove.
        if error.kind() != ErrorKind::InvalidInput {
            let _ = fs::remove_file(path);
        }
    })
}

/// Opens the writing end, non-blocking. A vanished reader is `EPIPE`.
///
/// # Errors
///
/// Without a reader `ENXIO`, at once; with a deadline the FIFO is tried again, first after 1 ms,
/// then less often, up to once in 20 ms, and the error is `TimedOut`. `InvalidInput` if there is no
/// FIFO, but something else; those of `open`: where there is nothing yet, `NotFound`, at once.
pub fn open_write<P: AsRef<Path>>(path: P, deadline: Option<Instant>) -> io::Result<PipeWriter> {
    let path = path.as_ref();
    let mut pause = Duration::from_millis(1);
    loop {
        match (open(path, false, true), deadline) {
            (Ok(fifo), _) => return Ok(PipeWriter::from(OwnedFd::from(fifo))),
            (Err(error), Some(deadline)) if sys::is_no_reader(&error) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(ErrorKind::TimedOut.into());
                }
                thread::sleep(pause.min(left));
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            (Err(error), _) => return Err(error),
        }
    }
}

/// Opens the reading end, non-blocking, and waits until a writer has written or has come and gone.
/// Before that a read would return 0, as at the end.
///
/// # Errors
///
/// `TimedOut` if `deadline` comes first. A writer that has come at that very moment gets `EPIPE`,
/// or loses what it has written: nobody reads it. `InvalidInput` if there is no FIFO, but something
/// else; those of `open`.
///
/// # Limits
///
/// The end comes when the last writer closes, also if another one is about to come. **In a loop
/// that opens again after each end, that other one loses its lines**: they are in the FIFO when the
/// reader closes. For one writer after another take [`open_read_endless`].
pub fn open_read<P: AsRef<Path>>(path: P, deadline: Instant) -> io::Result<PipeReader> {
    let fifo = open(path.as_ref(), true, false)?;
    sys::wait_readable(&fifo, deadline)?;
    Ok(PipeReader::from(OwnedFd::from(fifo)))
}

/// Opens the reading end, non-blocking, for any number of writers that come and go: no read returns
/// an end of file. The handle is a writing end as well, so that there is always one.
///
/// It waits for nothing. A read without a writer is `WouldBlock`, or waits after
/// `set_nonblocking(false)`. With tokio, `pipe::Receiver::from_owned_fd` takes it.
///
/// ```
/// use std::io::{BufRead, BufReader, Write};
/// use std::time::{Duration, Instant};
///
/// use epipe_util::fifo;
///
/// # let path = std::env::temp_dir().join(format!("epipe-doc-endless-{}", std::process::id()));
/// fifo::create(&path, 0o600)?;
/// let reader = fifo::open_read_endless(&path)?;
/// reader.set_nonblocking(false)?;
/// let mut lines = BufReader::new(reader).lines();
/// for line in ["the first writer's", "the second one's"] {
///     let mut writer = fifo::open_write(&path, None)?;
///     writeln!(writer, "{line}")?;
///     drop(writer);
///     assert_eq!(lines.next().unwrap()?, line);
/// }
/// # std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// `InvalidInput` if there is no FIFO, but something else; those of `open`. It takes the right to
/// write to the FIFO too.
///
/// # Platforms
///
/// POSIX leaves it open what `O_RDWR` does with a FIFO. Linux documents this use (fifo(7)). Apple
/// and the BSDs do the same.
pub fn open_read_endless<P: AsRef<Path>>(path: P) -> io::Result<PipeReader> {
    open(path.as_ref(), true, true).map(|fifo| PipeReader::from(OwnedFd::from(fifo)))
}

/// What is there, if it is a FIFO.
fn look(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.file_type().is_fifo() {
        true => Ok(()),
        false => Err(error_at(ErrorKind::InvalidInput, path, "is no FIFO")),
    }
}

fn open(path: &Path, reads: bool, writes: bool) -> io::Result<File> {
    look(path)?;
    let fifo = sys::open_fifo(path, reads, writes)?;
    match fifo.metadata()?.file_type().is_fifo() {
        true => Ok(fifo),
        false => Err(error_at(ErrorKind::InvalidInput, path, "was replaced while it was opened")),
    }
}
