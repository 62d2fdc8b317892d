//! FIFOs (named pipes) that are made and opened without an unexpected wait.
//!
//! A plain `open` of a FIFO waits for the other side without a limit. A plain `open` of another
//! file can have an effect: a device may rewind a tape, or hang. The functions here first check
//! that the path is a FIFO, and refuse other files, except in the race below. The handles are
//! **non-blocking** until you call `set_nonblocking(false)`.
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
//! let without_reader = fifo::open_write(&path, None).unwrap_err(); // at once
//! # assert_eq!(without_reader.raw_os_error(), Some(libc::ENXIO));
//!
//! # let path_of_writer = path.clone();
//! let writer = std::thread::spawn(move || -> std::io::Result<()> {
//!     fifo::open_write(&path_of_writer, Some(soon()))?.write_all(b"hello")
//! });
//! let mut reader = fifo::open_read(&path, soon())?; // the first bytes have arrived
//! reader.set_nonblocking(false)?;
//! let mut received = String::new();
//! reader.read_to_string(&mut received)?;
//! assert_eq!(received, "hello");
//! # writer.join().unwrap()?;
//! # std::fs::remove_file(path)?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # Limits
//!
//! A user who may write to the directory can replace the FIFO between the check and the next call.
//! The open functions notice this and return an error, but they may already have opened a device.
//! [`create`] may then have set the mode of another file. Use a directory to which other users
//! cannot write.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use epipe::io::{PipeReader, PipeWriter};

use crate::sys::{self, error_at};

/// Makes a FIFO with exactly this mode, for any umask.
///
/// # Errors
///
/// * `AlreadyExists`: any file is there already.
/// * `InvalidInput`: the mode has more than the bits of `0o777`.
/// * Those of `mkfifo` and `chmod`. No FIFO is left behind.
#[doc(alias("mkfifo", "mknod", "umask"))]
pub fn create<P: AsRef<Path>>(path: P, mode: u32) -> io::Result<()> {
    let path = path.as_ref();
    sys::check_mode(path, mode)?;
    sys::make_fifo(path, mode)?;
    let made = look(path).and_then(|()| sys::set_rights(path, mode));
    made.inspect_err(|error| {
        // With `InvalidInput` another file has replaced the FIFO. It is not ours to remove.
        if error.kind() != ErrorKind::InvalidInput {
            let _ = fs::remove_file(path);
        }
    })
}

/// Opens the writing end, non-blocking. A vanished reader is `EPIPE`.
///
/// With a deadline it waits for a reader. It tries again, first after 1 ms, then less often, and
/// finally every 20 ms.
///
/// # Errors
///
/// * `ENXIO`, at once: the FIFO has no reader, and `deadline` is `None`.
/// * `TimedOut`: no reader came before the deadline.
/// * `InvalidInput`: the file is not a FIFO.
/// * Those of `open`. A missing file is `NotFound`, at once, also with a deadline.
#[doc(alias("ENXIO", "O_WRONLY", "O_NONBLOCK", "EPIPE"))]
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

/// Opens the reading end, non-blocking, and waits for the first writer.
///
/// It returns when a writer has written, or has opened and closed the FIFO. Before that a read
/// would return 0, as at the end.
///
/// # Errors
///
/// * `TimedOut`: the deadline came first. A writer that came at that moment gets `EPIPE`, or its
///   data is lost unread.
/// * `InvalidInput`: the file is not a FIFO.
/// * Those of `open`.
///
/// # Limits
///
/// The end comes when the last writer closes, even if another writer is about to open the FIFO.
/// **In a loop that opens again after each end, that other writer loses its lines**: they are in
/// the FIFO when the reader closes it. For several writers in turn use [`open_read_endless`].
#[doc(alias("O_RDONLY", "O_NONBLOCK"))]
pub fn open_read<P: AsRef<Path>>(path: P, deadline: Instant) -> io::Result<PipeReader> {
    let fifo = open(path.as_ref(), true, false)?;
    sys::wait_readable(&fifo, deadline)?;
    Ok(PipeReader::from(OwnedFd::from(fifo)))
}

/// Opens the reading end, non-blocking, for writers that come and go: no read returns an end.
///
/// The handle is also a writing end. So the FIFO always has a writer.
///
/// It returns at once. A read without data is `WouldBlock`, or waits after
/// `set_nonblocking(false)`. For tokio, pass the handle to `pipe::Receiver::from_owned_fd`.
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
/// for line in ["from the first writer", "from the second writer"] {
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
/// `InvalidInput` if the file is not a FIFO, and those of `open`. The process must also be allowed
/// to write to the FIFO.
///
/// # Platforms
///
/// POSIX does not define what `O_RDWR` does with a FIFO. Linux documents this use (fifo(7)). Apple
/// and the BSDs do the same.
#[doc(alias("O_RDWR", "O_NONBLOCK"))]
pub fn open_read_endless<P: AsRef<Path>>(path: P) -> io::Result<PipeReader> {
    open(path.as_ref(), true, true).map(|fifo| PipeReader::from(OwnedFd::from(fifo)))
}

/// Checks that the file is a FIFO.
fn look(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.file_type().is_fifo() {
        true => Ok(()),
        false => Err(error_at(ErrorKind::InvalidInput, path, "is not a FIFO")),
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
