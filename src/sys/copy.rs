//! `io::copy` between handles whose types are known: inside the kernel where that is safe,
//! otherwise through a large buffer.
//!
//! std knows its own types by specialisation, which stable Rust does not have. Here a type is
//! compared by its id with a closed list (`src/io/known.rs`): this crate's handles and std's, and
//! references to them. All other types go std's way. Wrappers (`BufReader`, `BufWriter`, `Take`)
//! are such types, so nothing reaches around one.
//!
//! No flag covers splice(2): all of this runs under the guard of `io::copy`.

#![allow(
    unsafe_code,
    reason = "a type whose id is known stands behind a raw pointer, and the calls are libc's"
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

/// The size that the pipe between two sockets asks for: what Linux grants to every process
/// (pipe(7)). If it is refused, the pipe keeps the usual 64 KiB.
const INNER_PIPE: usize = 1 << 20;

/// Copies by the best way that there is between two types of `known`, otherwise as std does.
pub(crate) fn copy<R, W>(known: &[Known], reader: &mut R, mut writer: &mut W) -> io::Result<u64>
where
    R: ?Sized + Read,
    W: ?Sized + Write,
{
    let from = (id::<R>(), (&raw const *reader).cast());
    let to = (id::<W>(), (&raw const *writer).cast());
    // SAFETY: each pointer is to a value of the type that has the id. Both stay borrowed until the
    // call returns.
    match unsafe { copy_handles(known, from, to, &mut writer) } {
        Some(answer) => answer,
        None => io::copy(reader, writer),
    }
}

/// The id of a type and a pointer to a value of it.
type Erased = (TypeId, *const ());

/// The id of a type without its lifetimes: `&'a T` has that of `&'static T`.
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
    // SAFETY: the compiler erases lifetimes before it makes code, so there is one `id` for all of
    // them. It looks at no value of `T`.
    let it: &(dyn WithoutLifetimes + 'static) = unsafe { std::mem::transmute(it) };
    it.id()
}

// ---------------------------------------------------------------------- the closed list ----

/// Finds the descriptor, if the value is of one type or a reference to it.
type Find = unsafe fn(Erased) -> Option<BorrowedFd<'static>>;

/// One type of the closed list, which `io::copy` has: its values write bytes straight to their
/// descriptor.
pub(crate) struct Known {
    kind: Option<Kind>,
    find: Find,
}

impl Known {
    /// As in std, the kind may be wrong, of a handle that was made from another descriptor: then
    /// the calls are refused. `None`: the system is asked.
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
        // SAFETY: by its id it is a reference, which has the layout of a pointer.
        unsafe { *it.cast::<*const T>() }
    } else {
        return None;
    };
    // SAFETY: by its id it is a `T`, which the caller keeps borrowed.
    Some(unsafe { &*handle }.as_fd())
}

/// What a handle is.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A socket without datagrams.
    Stream,
    Pipe,
    /// It has a position, to which a reader can go back.
    File,
    Other,
}

/// The descriptor of a handle of the list, and what it is.
///
/// # Safety
///
/// As of [`find()`].
unsafe fn handle(known: &[Known], it: Erased) -> Option<(BorrowedFd<'static>, Kind)> {
    // SAFETY: the caller's promise.
    let found = known.iter().find_map(|known| Some((unsafe { (known.find)(it) }?, known.kind)));
    found.map(|(fd, kind)| (fd, kind.unwrap_or_else(|| kind_of(fd))))
}

fn kind_of(fd: BorrowedFd<'_>) -> Kind {
    match as_file(fd, File::metadata).map(|about| about.file_type()) {
        Ok(kind) if kind.is_fifo() => Kind::Pipe,
        Ok(kind) if kind.is_file() || kind.is_block_device() => Kind::File,
        Ok(kind) if kind.is_socket() && is_stream(fd) => Kind::Stream,
        // A terminal, another device, a socket with datagrams, a forbidden question.
        Ok(_) | Err(_) => Kind::Other,
    }
}

/// Whether it is a socket whose bytes have no borders, which a pipe would lose.
fn is_stream(fd: BorrowedFd<'_>) -> bool {
    SockRef::from(&fd).r#type().is_ok_and(|ty| ty == Type::STREAM)
}

// ------------------------------------------------------------------------------- the ways ----

/// Copies if both are handles of the list and there is a better way than std's.
///
/// # Safety
///
/// Each pointer is to a value of the type that has the id. Both stay borrowed until it returns.
#[inline(never)]
unsafe fn copy_handles(
    known: &[Known],
    source: Erased,
    sink: Erased,
    writer: &mut dyn Write,
) -> Option<io::Result<u64>> {
    // SAFETY: the caller's promise; the descriptors are not used after the copy.
    let ((from, from_kind), (to, to_kind)) =
        unsafe { (handle(known, source)?, handle(known, sink)?) };
    Some(match (from_kind, to_kind) {
        (Kind::Pipe, Kind::Stream | Kind::Pipe | Kind::File) => by_splice(from, to, false, writer),
        (Kind::Stream, Kind::Pipe) => by_splice(from, to, true, writer),
        // Datagrams in what was made from a descriptor must keep their borders.
        (Kind::Stream, Kind::Stream) if is_stream(from) && is_stream(to) => {
            by_inner_pipe(from, to, writer)
        }
        (Kind::Stream, Kind::Stream | Kind::File) => by_buffer(from, to, writer),
        // Not sendfile: it queues the pages themselves, so a change of the file *after* the copy
        // would change what the peer receives (std, `safe_kernel_copy`).
        (Kind::File, Kind::Stream | Kind::Pipe) => by_buffer(from, to, writer),
        // Between files std has copy_file_range.
        (Kind::File, Kind::File) | (Kind::Other, _) | (_, Kind::Other) => return None,
    })
}

/// For two ends of which one is a pipe. Whatever the sink does not take stays in the source.
///
/// While a splice waits for a socket's bytes it holds the lock of the pipe, and nothing else can
/// read from the pipe or close it (Linux fs/splice.c `splice_file_to_pipe`). `peeks`: the source
/// is a socket, so its bytes are waited for before each splice.
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
            // Refused, or stopped before an urgent byte, which a read skips. Or the end, which a
            // read confirms: gVisor's splice returns 0 where it has waited for the pipe's first
            // bytes.
            Ok(0) | Err(_) => break,
        }
    }
    Ok(copied + by_buffer(from, to, writer)?)
}

/// For two sockets: splice into a pipe of our own, and out of it. If the sink fails, what the pipe
/// holds is lost. A sink that would block is waited for until the pipe is empty.
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
    // SAFETY: the command takes an integer. If it is refused, the pipe keeps its size.
    unsafe { libc::fcntl(inlet.as_raw_fd(), libc::F_SETPIPE_SZ, INNER_PIPE as c_int) };
    let mut copied = 0;
    loop {
        let mut held = match splice(from, inlet.as_fd(), INNER_PIPE as u64) {
            Ok(held @ 1..) => held,
            Ok(0) if peek(from).is_ok_and(|more| more == 0) => return Ok(copied),
            Err(error) if is_interrupted(&error) => continue,
            Err(error) if !is_refused(&error, true, splice_privately) => return Err(error),
            // Refused, or stopped before an urgent byte, which a read skips.
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
                    drop(inlet); // so that the pipe has an end
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
        // SAFETY: the buffer has that capacity.
        let read =
            unsafe { libc::read(from.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.capacity()) };
        match usize::try_from(read).map_err(|_| io::Error::last_os_error()) {
            Ok(0) => return Ok(copied),
            Ok(read) => {
                // SAFETY: the system has written so many bytes there.
                unsafe { buffer.set_len(read) };
                write_all(&buffer, from, to, writer)?;
                copied += read as u64;
            }
            Err(error) if is_interrupted(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes all bytes that were read from `from`. If the sink stops taking them, a file is put back
/// to what was not written. From any other source, a sink that would block is waited for until all
/// is written; then its error is returned.
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

/// `splice(2)` at the descriptors' own positions, of as many bytes as one call takes.
fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, limit: u64) -> io::Result<u64> {
    let len = limit.min(MAX_RW_COUNT) as usize;
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: it takes descriptors and a length; the positions are not given.
    let moved = unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), len, 0) };
    u64::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Whether an error means that the call is refused, by the system or for such files. A socket may
/// report an error of the network, once: of ICMP, which no refusal looks like; or EPERM by a
/// firewall and EACCES (net/ipv6/icmp.c `tab_unreach`). Then the call is tried on a pair of our
/// own: if it works there, the error is the answer.
fn is_refused(error: &io::Error, has_socket: bool, ask: fn() -> io::Result<u64>) -> bool {
    match error.raw_os_error() {
        // gVisor's splice reports it where a pipe has no reader; a write then reports EPIPE.
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

/// Whether a peek would move the offset at which the next one begins (SO_PEEK_OFF), which is the
/// owner's, and not see what comes before it.
fn has_peek_offset(socket: BorrowedFd<'_>) -> bool {
    // SAFETY: the option's value is an int.
    unsafe { option::get::<c_int>(socket, libc::SOL_SOCKET, libc::SO_PEEK_OFF) }
        .is_ok_and(|offset| offset >= 0)
}

/// Waits until there is something to read, as a read of the socket would; 0 is the end.
fn peek(socket: BorrowedFd<'_>) -> io::Result<usize> {
    SockRef::from(&socket).peek(&mut [MaybeUninit::uninit()])
}

/// After an error: if it is that of a non-blocking sink, waits until the sink takes more, or has
/// failed. A write timeout that has run out has the same error, and is left to the caller.
fn wait_for_room(sink: BorrowedFd<'_>, error: &io::Error) -> bool {
    if error.kind() != ErrorKind::WouldBlock
        || !SockRef::from(&sink).nonblocking().is_ok_and(|is| is)
    {
        return false;
    }
    let mut polled = libc::pollfd { fd: sink.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, valid for the call.
    if unsafe { libc::poll(&mut polled, 1, -1) } == -1 {
        // After a signal the sink is tried again.
        return is_interrupted(&io::Error::last_os_error());
    }
    if polled.revents == libc::POLLERR {
        // The error queue holds something, a timestamp or an answer to MSG_ZEROCOPY. Only the owner
        // may take it, and until then poll does not wait.
        thread::sleep(Duration::from_millis(1));
    }
    true
}
