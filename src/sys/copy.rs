//! `io::copy` between handles whose types are known: inside the kernel where that is safe,
//! otherwise through a large buffer.
//!
//! std finds its own types by specialisation, which stable Rust does not have. This code compares
//! the id of a type with a closed list (`src/io/known.rs`): this crate's handles and std's, and
//! references to them. All other types are copied by std. Wrappers (`BufReader`, `BufWriter`,
//! `Take`) are such types, so no copy bypasses a wrapper's buffer or limit.
//!
//! No flag covers splice(2): all of this runs under the guard of `io::copy`.

#![allow(
    unsafe_code,
    reason = "a raw pointer is to a value whose type is known by its id, and the calls are libc's"
)]

use std::any::TypeId;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::{ptr, thread};

use libc::c_int;
use socket2::{SockRef, Type};

use super::handle::as_file;
use super::option;
use super::sendfile::{BUFFER, MAX_RW_COUNT};
use super::trust::is_refusal_of_call;

/// The size of the pipe between two sockets: Linux grants it to every process (pipe(7)). If the
/// kernel refuses it, the pipe keeps the usual 64 KiB.
const INNER_PIPE: usize = 1 << 20;

/// Copies in the best way between two types of `known`, otherwise as std does.
pub(crate) fn copy<R, W>(known: &[Known], reader: &mut R, mut writer: &mut W) -> io::Result<u64>
where
    R: ?Sized + Read,
    W: ?Sized + Write,
{
    let from = (id::<R>(), (&raw const *reader).cast());
    let to = (id::<W>(), (&raw const *writer).cast());
    // SAFETY: `id` and the pointer are of the same parameter, so each pointer is to a value of the
    // type that has the id. This function's borrows of both last until the call returns.
    match unsafe { copy_handles(known, from, to, &mut writer) } {
        Some(answer) => answer,
        None => io::copy(reader, writer),
    }
}

/// The id of a type and a pointer to a value of it.
type Erased = (TypeId, *const ());

/// The id of a type without its lifetimes: `&'a T` has the id of `&'static T`.
fn id<T: ?Sized>() -> TypeId {
    trait WithoutLifetimes {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }

    impl<T: ?Sized> WithoutLifetimes for PhantomData<T> {
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }

    let it: &dyn WithoutLifetimes = &PhantomData::<T>;
    // SAFETY: the compiler erases lifetimes before it generates code, so all lifetimes share one
    // `id`. That function looks at no value of `T`.
    let it: &(dyn WithoutLifetimes + 'static) = unsafe { std::mem::transmute(it) };
    it.id()
}

// ---------------------------------------------------------------------- the closed list ----

/// Finds the descriptor, if the value is of one type or a reference to it.
type Find = unsafe fn(Erased) -> Option<BorrowedFd<'static>>;

/// One type of the closed list of `io::copy`. Its values write their bytes directly to their
/// descriptor.
pub(crate) struct Known {
    kind: Option<Kind>,
    find: Find,
}

impl Known {
    /// `None` means that the system is asked for the kind. As in std, the kind is wrong if a handle
    /// was made from another kind of descriptor. The system refuses the calls then.
    pub(crate) const fn new<T: AsFd + 'static>(kind: Option<Kind>) -> Known {
        Known { kind, find: find::<T> }
    }
}

/// # Safety
///
/// The pointer is to a value of the type that has the id. The descriptor is used only while that
/// value stays borrowed.
unsafe fn find<T: AsFd + 'static>((id, it): Erased) -> Option<BorrowedFd<'static>> {
    let handle = if id == TypeId::of::<T>() {
        it.cast::<T>()
    } else if id == TypeId::of::<&'static T>() || id == TypeId::of::<&'static mut T>() {
        // SAFETY: by its id the value is a reference, which has the layout of a pointer.
        unsafe { *it.cast::<*const T>() }
    } else {
        return None;
    };
    // SAFETY: by its id the value is a `T`, which the caller keeps borrowed.
    Some(unsafe { &*handle }.as_fd())
}

/// The kind of a handle.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A socket without datagrams.
    Stream,
    Pipe,
    /// A file has a position, which can be set back after a read.
    File,
    Other,
}

/// The descriptor and the kind of a handle of the list.
///
/// # Safety
///
/// As for [`find()`].
unsafe fn handle(known: &[Known], it: Erased) -> Option<(BorrowedFd<'static>, Kind)> {
    // SAFETY: the caller promises the same.
    let found = known.iter().find_map(|known| Some((unsafe { (known.find)(it) }?, known.kind)));
    found.map(|(fd, kind)| (fd, kind.unwrap_or_else(|| kind_of(fd))))
}

fn kind_of(fd: BorrowedFd<'_>) -> Kind {
    match as_file(fd, File::metadata).map(|about| about.file_type()) {
        Ok(kind) if kind.is_fifo() => Kind::Pipe,
        Ok(kind) if kind.is_file() || kind.is_block_device() => Kind::File,
        Ok(kind) if kind.is_socket() && is_stream(fd) => Kind::Stream,
        // A terminal, another device, a socket with datagrams, or a forbidden question.
        Ok(_) | Err(_) => Kind::Other,
    }
}

/// Whether the descriptor is a socket without message boundaries, which a pipe would lose.
fn is_stream(fd: BorrowedFd<'_>) -> bool {
    SockRef::from(&fd).r#type().is_ok_and(|ty| ty == Type::STREAM)
}

// ------------------------------------------------------------------------ the ways to copy ----

/// Copies if both are handles of the list and there is a better way than std's.
///
/// # Safety
///
/// Each pointer is to a value of the type that has the id. Both stay borrowed until this returns.
#[inline(never)]
unsafe fn copy_handles(
    known: &[Known],
    source: Erased,
    sink: Erased,
    writer: &mut dyn Write,
) -> Option<io::Result<u64>> {
    // SAFETY: the caller promises the same, and the descriptors are not used after the copy.
    let ((from, from_kind), (to, to_kind)) =
        unsafe { (handle(known, source)?, handle(known, sink)?) };
    Some(match (from_kind, to_kind) {
        (Kind::Pipe, Kind::Stream | Kind::Pipe | Kind::File) => by_splice(from, to, false, writer),
        (Kind::Stream, Kind::Pipe) => by_splice(from, to, true, writer),
        // A stream type that was made from a descriptor may hold a datagram socket, whose message
        // boundaries must stay.
        (Kind::Stream, Kind::Stream) if is_stream(from) && is_stream(to) => {
            by_inner_pipe(from, to, writer)
        }
        (Kind::Stream, Kind::Stream | Kind::File) => by_buffer(from, to, writer),
        // Not sendfile: it queues the pages, not a copy. A change of the file *after* the copy
        // would change what the peer receives (std, `safe_kernel_copy`).
        (Kind::File, Kind::Stream | Kind::Pipe) => by_buffer(from, to, writer),
        // std uses copy_file_range between files.
        (Kind::File, Kind::File) | (Kind::Other, _) | (_, Kind::Other) => return None,
    })
}

/// For two ends of which one is a pipe. Bytes that the sink does not take stay in the source.
///
/// With `peeks` the source is a socket, and each splice comes after a wait for the socket's bytes.
/// A splice that waits for them holds the lock of the pipe: nothing else can read from the pipe or
/// close it (Linux fs/splice.c `splice_file_to_pipe`).
fn by_splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    peeks: bool,
    writer: &mut dyn Write,
) -> io::Result<u64> {
    if peeks && has_peek_offset(from) {
        return by_buffer(from, to, writer);
    }
    let has_socket = peeks || SockRef::from(&to).r#type().is_ok();
    let mut copied = 0;
    loop {
        if peeks {
            match peek(from) {
                Ok(0) => return Ok(copied),
                Ok(_) => {}
                Err(error) if is_interrupted(&error) => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => break,
                Err(error) if is_refused(&error, true, peek_privately) => break,
                Err(error) => return Err(error),
            }
        }
        match splice(from, to, MAX_RW_COUNT) {
            Ok(moved @ 1..) => copied += moved,
            Err(error) if is_interrupted(&error) => {}
            Err(error) if !is_refused(&error, has_socket, splice_privately) => return Err(error),
            // The call is refused, or it stopped before an urgent byte, which a read skips. Or this
            // is the end, which a read confirms: gVisor's splice also returns 0 after it has waited
            // for the pipe's first bytes.
            Ok(0) | Err(_) => break,
        }
    }
    Ok(copied + by_buffer(from, to, writer)?)
}

/// For two sockets: splice into a pipe of our own, and out of it. If the sink fails, the bytes in
/// the pipe are lost. If the sink would block, this waits for it until the pipe is empty.
fn by_inner_pipe(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    writer: &mut dyn Write,
) -> io::Result<u64> {
    if has_peek_offset(from) {
        return by_buffer(from, to, writer);
    }
    let Ok((mut outlet, inlet)) = io::pipe() else {
        return by_buffer(from, to, writer);
    };
    // SAFETY: F_SETPIPE_SZ takes an integer. If it fails, the pipe keeps its size.
    unsafe { libc::fcntl(inlet.as_raw_fd(), libc::F_SETPIPE_SZ, INNER_PIPE as c_int) };
    let mut copied = 0;
    loop {
        let mut held = match splice(from, inlet.as_fd(), INNER_PIPE as u64) {
            Ok(held @ 1..) => held,
            Ok(0) if peek(from).is_ok_and(|more| more == 0) => return Ok(copied),
            Err(error) if is_interrupted(&error) => continue,
            Err(error) if !is_refused(&error, true, splice_privately) => return Err(error),
            // The call is refused, or it stopped before an urgent byte, which a read skips.
            Ok(0) | Err(_) => break,
        };
        copied += held;
        let mut answer = Ok(());
        while held > 0 {
            match splice(outlet.as_fd(), to, held) {
                Ok(moved) => held -= moved,
                Err(error) if is_interrupted(&error) => {}
                Err(error) if wait_for_room(to, &error) => answer = Err(error),
                Err(error) if is_refused(&error, true, splice_privately) => {
                    drop(inlet); // otherwise the read below would not end
                    let mut rest = Vec::new();
                    outlet.read_to_end(&mut rest)?;
                    write_all(&rest, outlet.as_fd(), to, writer)?;
                    answer?;
                    return Ok(copied + by_buffer(from, to, writer)?);
                }
                Err(error) => return Err(error),
            }
        }
        answer?;
    }
    Ok(copied + by_buffer(from, to, writer)?)
}

/// For all others: read and write.
fn by_buffer(from: BorrowedFd<'_>, to: BorrowedFd<'_>, writer: &mut dyn Write) -> io::Result<u64> {
    let mut buffer = Vec::<u8>::with_capacity(BUFFER);
    let mut copied = 0;
    loop {
        // SAFETY: the buffer has the given capacity.
        let read =
            unsafe { libc::read(from.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.capacity()) };
        match usize::try_from(read).map_err(|_| io::Error::last_os_error()) {
            Ok(0) => return Ok(copied),
            Ok(read) => {
                // SAFETY: the system has written this number of bytes there.
                unsafe { buffer.set_len(read) };
                write_all(&buffer, from, to, writer)?;
                copied += read as u64;
            }
            Err(error) if is_interrupted(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes all bytes that were read from `from`.
///
/// If the sink takes no more and the source is a file, the file's position goes back to the first
/// byte that was not written. For any other source, this waits for a sink that would block, writes
/// the rest, and then returns the sink's error.
fn write_all(
    mut bytes: &[u8],
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    writer: &mut dyn Write,
) -> io::Result<()> {
    let mut answer = Ok(());
    while !bytes.is_empty() {
        let error = match writer.write(bytes) {
            Ok(0) => ErrorKind::WriteZero.into(),
            Ok(written) => {
                bytes = &bytes[written..];
                continue;
            }
            Err(error) if is_interrupted(&error) => continue,
            Err(error) => error,
        };
        // Sockets and pipes refuse to seek.
        let back = SeekFrom::Current(-(bytes.len() as i64));
        if as_file(from, |mut file| file.seek(back)).is_ok() || !wait_for_room(to, &error) {
            return Err(error);
        }
        answer = Err(error);
    }
    answer
}

// ------------------------------------------------------------------------------ the calls ----

fn is_interrupted(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Interrupted
}

/// `splice(2)` at the descriptors' own positions, with at most as many bytes as one call takes.
fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, limit: u64) -> io::Result<u64> {
    let len = limit.min(MAX_RW_COUNT) as usize;
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: splice takes descriptors and a length. A null position means the descriptor's own.
    let moved = unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), len, 0) };
    u64::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Whether an error means that the call is refused, by the system or for this kind of file.
///
/// A socket may report an error of the network, once. ICMP's ENOPROTOOPT and EOPNOTSUPP are such
/// errors. EPERM (a firewall) and EACCES (net/ipv6/icmp.c `tab_unreach`) may be one or a refusal:
/// then the call is tried on a pair of our own. If it works there, the error is the answer.
fn is_refused(error: &io::Error, has_socket: bool, ask: fn() -> io::Result<u64>) -> bool {
    match error.raw_os_error() {
        // gVisor's splice reports EFAULT where a pipe has no reader. A write then reports EPIPE.
        Some(libc::EFAULT) => true,
        Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP) if has_socket => false,
        Some(libc::EACCES | libc::EPERM) if has_socket => ask().is_err(),
        _ => is_refusal_of_call(error),
    }
}

fn splice_privately() -> io::Result<u64> {
    let ((from, fill), (_outlet, to)) = (io::pipe()?, io::pipe()?);
    (&fill).write_all(&[0])?;
    splice(from.as_fd(), to.as_fd(), 1)
}

fn peek_privately() -> io::Result<u64> {
    let (socket, mut peer) = UnixStream::pair()?;
    peer.write_all(&[0])?;
    peek(socket.as_fd()).map(|read| read as u64)
}

/// Whether the socket has a peek offset (SO_PEEK_OFF). A peek would move this offset, which is the
/// owner's, and would not see the bytes before it.
fn has_peek_offset(socket: BorrowedFd<'_>) -> bool {
    // SAFETY: the option's value is an int.
    unsafe { option::get::<c_int>(socket, libc::SOL_SOCKET, libc::SO_PEEK_OFF) }
        .is_ok_and(|offset| offset >= 0)
}

/// Waits as a read of the socket would, until there is something to read. 0 is the end.
fn peek(socket: BorrowedFd<'_>) -> io::Result<usize> {
    SockRef::from(&socket).peek(&mut [MaybeUninit::uninit()])
}

/// After an error of a non-blocking sink that would block, waits until the sink takes more or has
/// failed. Returns whether it waited. An expired write timeout has the same error; that one is left
/// to the caller.
fn wait_for_room(sink: BorrowedFd<'_>, error: &io::Error) -> bool {
    if error.kind() != ErrorKind::WouldBlock
        || !SockRef::from(&sink).nonblocking().is_ok_and(|is| is)
    {
        return false;
    }
    let mut polled = libc::pollfd { fd: sink.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: the pointer is to one entry, which outlives the call.
    if unsafe { libc::poll(&mut polled, 1, -1) } == -1 {
        // After a signal, the caller tries the sink again.
        return is_interrupted(&io::Error::last_os_error());
    }
    if polled.revents == libc::POLLERR {
        // The error queue holds a message: a timestamp or an answer to MSG_ZEROCOPY. Only the owner
        // may take it. Until then poll does not wait.
        thread::sleep(Duration::from_millis(1));
    }
    true
}
