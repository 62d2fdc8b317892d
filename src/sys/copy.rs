//! `io::copy` between handles whose types are known: inside the kernel where that is safe, else by a
//! large buffer.
//!
//! std knows its own types by specialisation, which stable Rust does not have, and no others. Here a
//! type is told by its id, from a closed list: this crate's handles and std's, references to them, and
//! `BufReader`, `BufWriter` and `Take` of these. What is not on the list goes std's way.
//!
//! No flag covers splice(2): all of this runs under the guard of `io::copy`.

#![allow(
    unsafe_code,
    reason = "what a type's id tells stands behind a raw pointer, and the calls are libc's"
)]

use std::any::TypeId;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Take, Write};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::ptr;

use libc::c_int;
use socket2::{SockRef, Type};

use super::handle::{as_file, read};
use super::poll;
use super::refusal::is_refusal_of_call;
use super::sendfile::{BUFFER, MAX_RW_COUNT};
use crate::os::unix::net as unix;
use crate::{Adopt, NoSigpipe, Socket, io as ours, net};

/// What the pipe between two sockets is asked to hold: what Linux grants to everybody (pipe(7)). Where
/// it is refused, the usual 64 KiB stay.
const INNER_PIPE: usize = 1 << 20;

pub(crate) fn copy<R, W>(reader: &mut R, mut writer: &mut W) -> io::Result<u64>
where
    R: ?Sized + Read,
    W: ?Sized + Write,
{
    let source = Erased::new(reader);
    let sink = Erased::new(writer);
    // SAFETY: both stay borrowed until the copy is done. It does not touch the reader but by `source`,
    // and of the writer it keeps the descriptor alone.
    match unsafe { Copy::between(source, sink) } {
        Some(copy) => copy.run(&mut writer),
        None => io::copy(reader, writer),
    }
}

// ---------------------------------------------------------------------- the closed list ----

/// A handle with nothing between it and its descriptor.
trait Bare: AsFd {
    const HINT: Hint;
}

/// What a type alone says of its descriptor. As in std it may be wrong, of a handle that was made
/// from a descriptor: then the calls are refused.
#[derive(Clone, Copy)]
enum Hint {
    /// A socket without datagrams.
    Stream,
    Pipe,
    /// Nothing: the system is asked.
    Any,
}

macro_rules! bare {
    ($($hint:ident: $($ty:ty),+;)+) => {$($(
        impl Bare for $ty {
            const HINT: Hint = Hint::$hint;
        }
    )+)+};
}

bare! {
    Stream: net::TcpStream, unix::UnixStream, TcpStream, UnixStream;
    Pipe: ours::PipeReader, io::PipeReader, ChildStdout, ChildStderr;
    Pipe: ours::PipeWriter, io::PipeWriter, ChildStdin;
    Any: Socket, File;
}

// All of the list are adopted `Direct`: their bytes may pass the type's own code by.
impl<T: Bare + Adopt> Bare for NoSigpipe<T> {
    const HINT: Hint = T::HINT;
}

impl<T: Bare> Bare for &T {
    const HINT: Hint = T::HINT;
}

impl<T: Bare> Bare for &mut T {
    const HINT: Hint = T::HINT;
}

/// The first of these that finds something.
macro_rules! first {
    ($($find:expr),+ $(,)?) => {
        None$(.or_else(|| $find))+
    };
}

// Made where it is used: the lists are much code, for which who copies nothing need not wait. What is
// passed by itself or by reference is found first.
#[inline]
fn find_source(erased: &Erased) -> Option<Source> {
    /// What may be round a handle.
    fn wrapped<T: Bare + Read + 'static>(erased: &Erased) -> Option<Source> {
        first!(
            erased.source::<BufReader<T>>(),
            erased.source::<BufReader<&'static mut T>>(),
            erased.source::<BufReader<Take<T>>>(),
            erased.source::<Take<T>>(),
            erased.source::<Take<&'static mut T>>(),
            erased.source::<Take<BufReader<T>>>(),
            erased.source::<Take<&'static mut BufReader<T>>>(),
        )
    }

    /// The same of a reference to it.
    fn borrowed<T: Bare + 'static>(erased: &Erased) -> Option<Source>
    where
        &'static T: Read,
    {
        first!(
            erased.source::<BufReader<&'static T>>(),
            erased.source::<Take<&'static T>>(),
            erased.source::<Take<BufReader<&'static T>>>(),
            erased.source::<Take<&'static mut BufReader<&'static T>>>(),
        )
    }

    macro_rules! among {
        ($($shared:ty),+; $($owned:ty),+ $(,)?) => {
            first!(
                $(erased.bare::<$shared>(),)+
                $(erased.bare::<&'static $shared>(),)+
                $(erased.bare::<$owned>(),)+
            )
            .map(Source::bare)
            .or_else(|| {
                first!(
                    $(wrapped::<$shared>(erased),)+
                    $(borrowed::<$shared>(erased),)+
                    $(wrapped::<$owned>(erased),)+
                )
            })
        };
    }
    among!(
        net::TcpStream, unix::UnixStream, ours::PipeReader, TcpStream, UnixStream, io::PipeReader,
        File, Socket;
        ChildStdout, ChildStderr, NoSigpipe<TcpStream>, NoSigpipe<UnixStream>, NoSigpipe<File>,
    )
}

#[inline]
fn find_sink(erased: &Erased) -> Option<End> {
    macro_rules! among {
        ($($ty:ty),+ $(,)?) => {
            first!(
                $(erased.bare::<$ty>(),)+
                $(erased.bare::<&'static $ty>(),)+
                $(erased.buffered::<$ty>(),)+
                $(erased.buffered::<&'static $ty>(),)+
                $(erased.buffered::<&'static mut $ty>(),)+
            )
        };
    }
    among!(
        net::TcpStream,
        unix::UnixStream,
        ours::PipeWriter,
        TcpStream,
        UnixStream,
        io::PipeWriter,
        File,
        Socket,
        ChildStdin,
        NoSigpipe<TcpStream>,
        NoSigpipe<UnixStream>,
        NoSigpipe<io::PipeWriter>,
        NoSigpipe<ChildStdin>,
        NoSigpipe<File>,
    )
}

/// A reader or a writer of some type, of which only the id is known.
struct Erased {
    id: TypeId,
    this: *mut (),
}

impl Erased {
    fn new<T: ?Sized>(it: &mut T) -> Erased {
        Erased {
            id: id::<T>(),
            this: (&raw mut *it).cast(),
        }
    }

    /// Where the `T` is, if this is one or a `&mut T`. A type of the list has no lifetimes but those of
    /// references, and no reference that is found here outlives the copy.
    fn find<T: 'static>(&self) -> Option<*mut T> {
        if self.id == TypeId::of::<T>() {
            Some(self.this.cast())
        } else if self.id == TypeId::of::<&'static mut T>() {
            // SAFETY: by its id it is a reference, which has the layout of a pointer.
            Some(unsafe { *self.this.cast::<*mut T>() })
        } else {
            None
        }
    }

    fn source<T: Reader + 'static>(&self) -> Option<Source> {
        let this = self.find::<T>()?;
        // SAFETY: it is a `T`, which `copy` has borrowed.
        let reader = unsafe { &*this };
        Some(Source {
            end: reader.end(),
            ahead: reader.ahead(),
            limit: reader.limit(),
            this: this.cast(),
            // SAFETY: as above; who calls it reads `ahead` no more.
            settle: |this, ahead, direct| unsafe { (*this.cast::<T>()).settle(ahead, direct) },
        })
    }

    fn bare<T: Bare + 'static>(&self) -> Option<End> {
        let this = self.find::<T>()?;
        // SAFETY: as in `source`.
        Some(End::of(unsafe { &*this }))
    }

    /// A writer that buffers is flushed before anything passes it by.
    fn buffered<T: Bare + Write + 'static>(&self) -> Option<End> {
        let this = self.find::<BufWriter<T>>()?;
        // SAFETY: as in `source`.
        Some(End::of(unsafe { &*this }.get_ref()))
    }
}

/// The id of a type whose lifetimes are forgotten: `&'a T` has that of `&'static T`.
fn id<T: ?Sized>() -> TypeId {
    trait Forgetful {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }

    impl<T: ?Sized> Forgetful for PhantomData<T> {
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }

    let it: &dyn Forgetful = &PhantomData::<T>;
    // SAFETY: lifetimes are gone when code is made, so there is one `id` for all of them; it looks at
    // no value of `T`.
    let it: &(dyn Forgetful + 'static) = unsafe { std::mem::transmute(it) };
    it.id()
}

// ------------------------------------------------------------------- readers and writers ----

/// A descriptor, and what its type says of it.
#[derive(Clone, Copy)]
struct End {
    fd: BorrowedFd<'static>,
    hint: Hint,
}

impl End {
    fn of<T: Bare>(handle: &T) -> End {
        End {
            // SAFETY: `copy` borrows the handle for as long as there is an `End` of it.
            fd: unsafe { BorrowedFd::borrow_raw(handle.as_fd().as_raw_fd()) },
            hint: T::HINT,
        }
    }

    fn kind(self) -> Kind {
        match self.hint {
            Hint::Stream => Kind::Stream,
            Hint::Pipe => Kind::Pipe,
            Hint::Any => match as_file(self.fd, File::metadata).map(|about| about.file_type()) {
                Ok(kind) if kind.is_fifo() => Kind::Pipe,
                Ok(kind) if kind.is_file() || kind.is_block_device() => Kind::File,
                Ok(kind) if kind.is_socket() && self.is_stream() => Kind::Stream,
                // A terminal, a device, datagrams, what may not be asked.
                Ok(_) | Err(_) => Kind::Other,
            },
        }
    }

    /// Whether it is a socket whose bytes have no borders, which a pipe would lose.
    fn is_stream(self) -> bool {
        SockRef::from(&self.fd)
            .r#type()
            .is_ok_and(|ty| ty == Type::STREAM)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Stream,
    Pipe,
    /// It has a position, to which a reader can go back.
    File,
    Other,
}

/// A reader of the list.
trait Reader {
    fn end(&self) -> End;

    /// What was read ahead, and goes first.
    fn ahead(&self) -> &[u8] {
        &[]
    }

    /// How much may be taken from the descriptor after that.
    fn limit(&self) -> u64 {
        u64::MAX
    }

    /// So much has gone: of what was read ahead, and from the descriptor.
    fn settle(&mut self, ahead: usize, direct: u64) {
        let _ = (ahead, direct);
    }
}

/// A reader that has read nothing ahead.
trait Unbuffered: Reader {}

impl<T: Bare> Unbuffered for T {}
impl<T: Bare> Reader for T {
    fn end(&self) -> End {
        End::of(self)
    }
}

impl<T: Bare> Unbuffered for Take<T> {}
impl<T: Reader> Reader for Take<T> {
    fn end(&self) -> End {
        self.get_ref().end()
    }

    fn ahead(&self) -> &[u8] {
        let ahead = self.get_ref().ahead();
        let limit = usize::try_from(Take::limit(self)).unwrap_or(usize::MAX);
        &ahead[..ahead.len().min(limit)]
    }

    fn limit(&self) -> u64 {
        let own = Take::limit(self) - self.ahead().len() as u64;
        own.min(self.get_ref().limit())
    }

    fn settle(&mut self, ahead: usize, direct: u64) {
        self.set_limit(Take::limit(self) - ahead as u64 - direct);
        self.get_mut().settle(ahead, direct);
    }
}

impl<T: Unbuffered + Read> Reader for BufReader<T> {
    fn end(&self) -> End {
        self.get_ref().end()
    }

    fn ahead(&self) -> &[u8] {
        self.buffer()
    }

    fn limit(&self) -> u64 {
        self.get_ref().limit()
    }

    fn settle(&mut self, ahead: usize, direct: u64) {
        self.consume(ahead);
        self.get_mut().settle(0, direct);
    }
}

impl<T: Unbuffered + Read> Reader for &mut BufReader<T> {
    fn end(&self) -> End {
        (**self).end()
    }

    fn ahead(&self) -> &[u8] {
        (**self).ahead()
    }

    fn limit(&self) -> u64 {
        (**self).limit()
    }

    fn settle(&mut self, ahead: usize, direct: u64) {
        (**self).settle(ahead, direct);
    }
}

/// A reader whose type is forgotten.
struct Source {
    end: End,
    ahead: *const [u8],
    limit: u64,
    this: *mut (),
    settle: unsafe fn(*mut (), usize, u64),
}

impl Source {
    /// Of a handle with nothing round it.
    fn bare(end: End) -> Source {
        Source {
            end,
            ahead: &[],
            limit: u64::MAX,
            this: ptr::null_mut(),
            settle: |_, _, _| {},
        }
    }
}

// ------------------------------------------------------------------------------- the ways ----

/// A copy whose both ends are known.
struct Copy {
    source: Source,
    sink: End,
    way: Way,
}

#[derive(Clone, Copy)]
enum Way {
    /// splice: one end is a pipe. `peeks`: the other is a socket to be read from.
    Splice { peeks: bool },
    /// splice by way of a pipe of our own.
    InnerPipe,
    /// read and write.
    Buffer(Unwritten),
}

/// What becomes of bytes that a sink does not take, on the way of a buffer.
#[derive(Clone, Copy, PartialEq)]
enum Unwritten {
    /// The source is put back to them.
    GoesBack,
    /// A sink that would block is waited for, until the buffer is empty.
    Waits,
    /// The same, until the source is empty: it is a pipe of our own.
    WaitsForAll,
}

/// How far a copy went: so much has been taken from the source.
struct Taken(u64, io::Result<()>);

impl Copy {
    /// # Safety
    ///
    /// What both point to is of the type whose id they have, and stays borrowed while the copy lives.
    #[inline]
    unsafe fn between(source: Erased, sink: Erased) -> Option<Copy> {
        let (source, sink) = (find_source(&source)?, find_sink(&sink)?);
        let way = match (source.end.kind(), sink.kind()) {
            (Kind::Pipe, Kind::Stream | Kind::Pipe | Kind::File) => Way::Splice { peeks: false },
            (Kind::Stream, Kind::Pipe) => Way::Splice { peeks: true },
            // A pipe is not worth its making for what one read takes.
            (Kind::Stream, Kind::Stream)
                if source.limit > BUFFER as u64 && source.end.is_stream() && sink.is_stream() =>
            {
                Way::InnerPipe
            }
            (Kind::Stream, Kind::Stream | Kind::File) => Way::Buffer(Unwritten::Waits),
            // Not sendfile: what is changed in the file *after* the copy would change what the peer
            // receives, for the pages themselves are queued (std, `safe_kernel_copy`).
            (Kind::File, Kind::Stream | Kind::Pipe) => Way::Buffer(Unwritten::GoesBack),
            // Between files std has copy_file_range; of the others it is asked nothing new.
            (Kind::File, Kind::File) | (Kind::Other, _) | (_, Kind::Other) => return None,
        };
        Some(Copy { source, sink, way })
    }

    fn run(self, writer: &mut dyn Write) -> io::Result<u64> {
        let ahead = self.write_ahead(writer)?;
        writer.flush()?;
        let Taken(direct, answer) = match self.way {
            Way::Splice { peeks } => self.splice(peeks, writer),
            Way::InnerPipe => self.by_inner_pipe(writer),
            Way::Buffer(unwritten) => self.rest_by_buffer(0, unwritten, writer),
        };
        self.settle(0, direct);
        answer.map(|()| ahead + direct)
    }

    fn settle(&self, ahead: usize, direct: u64) {
        // SAFETY: it is the reader that `between` was promised, and no slice of it is in use.
        unsafe { (self.source.settle)(self.source.this, ahead, direct) };
    }

    /// Writes what was read ahead. What could not be written stays there.
    fn write_ahead(&self, writer: &mut dyn Write) -> io::Result<u64> {
        // SAFETY: the reader is untouched until `settle`.
        let ahead = unsafe { &*self.source.ahead };
        let mut rest = ahead;
        let mut answer = Ok(());
        while !rest.is_empty() && answer.is_ok() {
            answer = write_some(writer, rest).map(|written| rest = &rest[written..]);
        }
        let written = ahead.len() - rest.len();
        self.settle(written, 0);
        answer.map(|()| written as u64)
    }

    /// Nothing is lost: what the sink does not take stays in the source.
    ///
    /// A splice holds the lock of the pipe while it waits for a socket's bytes, and nobody else can read
    /// from the pipe, or close it (Linux fs/splice.c `splice_file_to_pipe`). So they are waited for before.
    fn splice(&self, peeks: bool, writer: &mut dyn Write) -> Taken {
        let Source { end, limit, .. } = self.source;
        let mut taken = 0;
        while taken < limit {
            if peeks {
                match peek(end.fd) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if is_interrupted(&error) => continue,
                    Err(error) if is_no_socket(&error) => {
                        return self.rest_by_buffer(taken, Unwritten::Waits, writer);
                    }
                    Err(error) => return Taken(taken, Err(error)),
                }
            }
            match splice(end.fd, self.sink.fd, limit - taken) {
                Ok(0) if !peeks => break,
                Ok(moved @ 1..) => taken += moved,
                Err(error) if is_interrupted(&error) => {}
                Err(error) if !is_refusal_of_call(&error) => return Taken(taken, Err(error)),
                // Refused, or stopped before an urgent byte, which a read passes over.
                Ok(0) | Err(_) => {
                    return self.rest_by_buffer(taken, Unwritten::Waits, writer);
                }
            }
        }
        Taken(taken, Ok(()))
    }

    /// What the pipe holds is lost if the sink fails; a sink that would block is waited for.
    fn by_inner_pipe(&self, writer: &mut dyn Write) -> Taken {
        let Source { end, limit, .. } = self.source;
        let Ok((outlet, inlet)) = io::pipe() else {
            return self.rest_by_buffer(0, Unwritten::Waits, writer);
        };
        // SAFETY: the command takes an integer. Where it is refused the pipe keeps its size.
        unsafe { libc::fcntl(inlet.as_raw_fd(), libc::F_SETPIPE_SZ, INNER_PIPE as c_int) };
        let mut taken = 0;
        while taken < limit {
            let room = (limit - taken).min(INNER_PIPE as u64);
            let mut held = match splice(end.fd, inlet.as_fd(), room) {
                Ok(held @ 1..) => held,
                Ok(0) if peek(end.fd).is_ok_and(|more| more == 0) => break,
                Err(error) if is_interrupted(&error) => continue,
                Err(error) if !is_refusal_of_call(&error) => return Taken(taken, Err(error)),
                // Refused, or stopped before an urgent byte, which a read passes over.
                Ok(0) | Err(_) => {
                    return self.rest_by_buffer(taken, Unwritten::Waits, writer);
                }
            };
            taken += held;
            let mut answer = Ok(());
            while held > 0 {
                match splice(outlet.as_fd(), self.sink.fd, held) {
                    Ok(moved) => held -= moved,
                    Err(error) if is_interrupted(&error) => {}
                    Err(error) if self.waits_for_sink(&error) => answer = Err(error),
                    Err(error) if is_refusal_of_call(&error) => {
                        let all = Unwritten::WaitsForAll;
                        let Taken(_, emptied) = self.by_buffer(outlet.as_fd(), held, all, writer);
                        return match emptied.and(answer) {
                            Ok(()) => self.rest_by_buffer(taken, Unwritten::Waits, writer),
                            failed => Taken(taken, failed),
                        };
                    }
                    Err(error) => return Taken(taken, Err(error)),
                }
            }
            if answer.is_err() {
                return Taken(taken, answer);
            }
        }
        Taken(taken, Ok(()))
    }

    /// The source, of which `taken` bytes have gone before.
    fn rest_by_buffer(&self, taken: u64, unwritten: Unwritten, writer: &mut dyn Write) -> Taken {
        let Source { end, limit, .. } = self.source;
        let Taken(more, answer) = self.by_buffer(end.fd, limit - taken, unwritten, writer);
        Taken(taken + more, answer)
    }

    /// Reads from `from`: the source, or a pipe of our own.
    fn by_buffer(
        &self,
        from: BorrowedFd<'_>,
        limit: u64,
        unwritten: Unwritten,
        writer: &mut dyn Write,
    ) -> Taken {
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut taken = 0;
        let mut answer = Ok(());
        while taken < limit {
            match read_into(from, &mut buffer, limit - taken) {
                Ok(0) => break,
                Ok(read) => taken += read,
                Err(error) => return Taken(taken, Err(error)),
            }
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                match write_some(writer, rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(error) if unwritten == Unwritten::GoesBack && go_back(from, rest.len()) => {
                        return Taken(taken - rest.len() as u64, Err(error));
                    }
                    Err(error) if self.waits_for_sink(&error) => answer = Err(error),
                    Err(error) => return Taken(taken, Err(error)),
                }
            }
            if answer.is_err() && unwritten != Unwritten::WaitsForAll {
                break;
            }
        }
        Taken(taken, answer)
    }

    /// Waits until a sink that would block takes more. Not if its write timeout has run out, which
    /// answers the same: that is for the caller.
    fn waits_for_sink(&self, error: &io::Error) -> bool {
        error.kind() == ErrorKind::WouldBlock
            && SockRef::from(&self.sink.fd)
                .nonblocking()
                .is_ok_and(|nonblocking| nonblocking)
            // An error of the sink's wakes it as well.
            && poll::wait_for(self.sink.fd, libc::POLLOUT, None).is_ok()
    }
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

/// Waits, as a read of the socket would, until there is something to read; 0 is the end.
fn peek(socket: BorrowedFd<'_>) -> io::Result<usize> {
    SockRef::from(&socket).peek(&mut [MaybeUninit::uninit()])
}

fn is_no_socket(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOTSOCK) || is_refusal_of_call(error)
}

/// Reads once into the buffer, in place of what was there.
fn read_into(from: BorrowedFd<'_>, buffer: &mut Vec<u8>, limit: u64) -> io::Result<u64> {
    buffer.clear();
    let len = limit.min(buffer.capacity() as u64) as usize;
    loop {
        // SAFETY: the buffer has that capacity.
        match unsafe { read(from, buffer.as_mut_ptr(), len) } {
            Ok(read) => {
                // SAFETY: the system has written so many, and no more than its capacity.
                unsafe { buffer.set_len(read) };
                return Ok(read as u64);
            }
            Err(error) if is_interrupted(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// One write of some bytes, as `write_all` makes it.
fn write_some(writer: &mut dyn Write, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match writer.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if is_interrupted(&error) => {}
            answer => return answer,
        }
    }
}

/// Puts the position of a file back by `bytes`.
fn go_back(file: BorrowedFd<'_>, bytes: usize) -> bool {
    as_file(file, |mut file| {
        file.seek(SeekFrom::Current(-(bytes as i64)))
    })
    .is_ok()
}
