//! A reader and writer that injects faults by a script.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};

use crate::sys;

/// What a [`Faulty`] does to a call: it shortens the call or replaces it by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Passes on at most this many bytes: a short count. Zero is the end of the stream for a read,
    /// and `WriteZero` for `write_all`.
    Short(usize),
    /// Fails with this OS error, and passes on nothing.
    #[doc(alias = "errno")]
    Errno(i32),
}

impl Fault {
    /// `EINTR`: a signal interrupted the call.
    #[doc(alias = "EINTR")]
    pub const INTERRUPTED: Fault = Fault::Errno(sys::INTERRUPTED);
    /// `EAGAIN`: there is nothing to read, or no room to write.
    #[doc(alias("EAGAIN", "EWOULDBLOCK"))]
    pub const WOULD_BLOCK: Fault = Fault::Errno(sys::WOULD_BLOCK);
    /// `ENOBUFS`: the network's queue is full.
    #[doc(alias = "ENOBUFS")]
    pub const NO_BUFFERS: Fault = Fault::Errno(sys::NO_BUFFERS);
    /// `EPIPE`: the peer is gone. This is only the error: it raises no signal.
    #[doc(alias = "EPIPE")]
    pub const BROKEN_PIPE: Fault = Fault::Errno(sys::BROKEN_PIPE);
}

/// When a [`Fault`] happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum At {
    /// At the k-th call. The first is 1.
    Call(u64),
    /// At the k-th call and at every later one.
    CallsFrom(u64),
    /// Once, when exactly this many bytes have been passed on. A call that would go beyond them is
    /// shortened, and the next call has the fault.
    Byte(u64),
    /// As `Byte`, and at every later call: like a broken pipe.
    BytesFrom(u64),
}

/// The kind of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `read` and `read_vectored`.
    Read,
    /// `write` and `write_vectored`.
    Write,
    /// `flush`.
    Flush,
}

/// One fault of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// The kind of the call.
    pub operation: Operation,
    /// When it happens.
    pub at: At,
    /// What happens.
    pub fault: Fault,
}

/// A fault that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// The kind of the call.
    pub operation: Operation,
    /// The number of the call among those of its kind. The first is 1.
    pub call: u64,
    /// The number of bytes passed on before.
    pub byte: u64,
    /// What happened.
    pub fault: Fault,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Injected { operation, call, byte, fault } = self;
        write!(f, "{operation:?} {call}, after {byte} bytes: {fault:?}")
    }
}

/// A reader and writer that injects faults by a script: short counts, `EINTR`, `EAGAIN` and any
/// other error, at the k-th call or at a byte.
///
/// No peer can provoke these. All other calls go to the inner handle unchanged. Pass a `Faulty` to
/// any code that takes a `Read` or a `Write`.
///
/// ```
/// use std::io::{Read, Write};
///
/// use epipe_testing::{At, Fault, Faulty, Injected, Operation, Planned};
///
/// let mut log = Faulty::new(Vec::new())
///     .on_write(At::Call(1), Fault::INTERRUPTED)
///     .on_write(At::Byte(3), Fault::Short(1))
///     .on_write(At::Byte(100), Fault::BROKEN_PIPE);
/// log.write_all(b"every byte arrives")?;
///
/// let injected: &[Injected] = log.injected();
/// assert_eq!((injected.len(), injected[0].fault), (2, Fault::INTERRUPTED));
/// let unreached: Vec<Planned> = log.unreached();
/// assert_eq!(unreached[0].at, At::Byte(100)); // only 18 bytes were written
/// assert_eq!(log.get_mut(), b"every byte arrives");
///
/// // A write that fails from its second call on, and a flush that fails once:
/// let mut full = Faulty::new(Vec::new())
///     .on_write(At::CallsFrom(2), Fault::NO_BUFFERS)
///     .on_flush(At::Call(1), Fault::WOULD_BLOCK);
/// full.write_all(b"first")?;
/// full.write_all(b"second").unwrap_err();
/// full.flush().unwrap_err();
/// assert_eq!(full.injected()[1].operation, Operation::Flush);
/// assert_eq!(full.get_ref(), b"first");
/// assert_eq!(full.into_inner(), b"first");
///
/// // A connection that is reset after two bytes, for all later reads:
/// let reset = Fault::Errno(libc::ECONNRESET);
/// let mut stream = Faulty::new(&b"data"[..]).on_read(At::BytesFrom(2), reset);
/// stream.read_exact(&mut [0; 4]).unwrap_err();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Limits
///
/// A call has at most one fault. If several are due, the first in the script comes first, and the
/// others at the next calls. Faults that stay ([`At::CallsFrom`], [`At::BytesFrom`]) come only at
/// calls without another fault.
#[doc(alias("LD_PRELOAD", "EINTR", "EAGAIN", "ENOBUFS"))]
#[derive(Clone, Debug)]
pub struct Faulty<T> {
    inner: T,
    script: Vec<Entry>,
    injected: Vec<Injected>,
    reads: Count,
    writes: Count,
    flushes: Count,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    planned: Planned,
    has_come: bool,
    /// It was due at a call that had another fault.
    is_late: bool,
}

/// Counts the calls of one kind, and the bytes they have passed on.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    calls: u64,
    bytes: u64,
}

impl<T> Faulty<T> {
    /// Wraps a handle, without faults so far.
    pub fn new(inner: T) -> Faulty<T> {
        Faulty {
            inner,
            script: Vec::new(),
            injected: Vec::new(),
            reads: Count::default(),
            writes: Count::default(),
            flushes: Count::default(),
        }
    }

    /// Adds a fault of reads.
    #[must_use]
    pub fn on_read(self, at: At, fault: Fault) -> Faulty<T> {
        self.on(Operation::Read, at, fault)
    }

    /// Adds a fault of writes.
    #[must_use]
    pub fn on_write(self, at: At, fault: Fault) -> Faulty<T> {
        self.on(Operation::Write, at, fault)
    }

    /// Adds a fault of flushes. Flushes pass on no bytes, so only byte 0 is ever reached.
    #[must_use]
    pub fn on_flush(self, at: At, fault: Fault) -> Faulty<T> {
        self.on(Operation::Flush, at, fault)
    }

    fn on(mut self, operation: Operation, at: At, fault: Fault) -> Faulty<T> {
        let planned = Planned { operation, at, fault };
        self.script.push(Entry { planned, has_come: false, is_late: false });
        self
    }

    /// Returns the faults that have happened, in order. A short count has happened if it shortened
    /// a call.
    pub fn injected(&self) -> &[Injected] {
        &self.injected
    }

    /// Returns the faults that have not happened. At the end of a test, these were not tested.
    pub fn unreached(&self) -> Vec<Planned> {
        self.script.iter().filter(|entry| !entry.has_come).map(|entry| entry.planned).collect()
    }

    /// Returns the inner handle.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns the inner handle. Direct calls have no faults, and are not counted.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Returns the inner handle, and drops the script.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Makes one call that offers `len` bytes. `call` receives the number it may pass on.
    fn answer(
        &mut self,
        operation: Operation,
        len: usize,
        call: impl FnOnce(&mut T, usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let count = match operation {
            Operation::Read => &mut self.reads,
            Operation::Write => &mut self.writes,
            Operation::Flush => &mut self.flushes,
        };
        count.calls += 1;
        let now = *count;

        let mut room = len;
        let mut errno = None;
        let mut due: Vec<_> = self
            .script
            .iter_mut()
            .filter(|entry| entry.planned.operation == operation && entry.is_due(now, len))
            .collect();
        due.sort_by_key(|entry| entry.stays());
        let mut due = due.into_iter();
        if let Some(entry) = due.next() {
            entry.has_come = true;
            let fault = entry.planned.fault;
            match fault {
                Fault::Short(most) => room = most,
                Fault::Errno(code) => errno = Some(code),
            }
            self.injected.push(Injected { operation, call: now.calls, byte: now.bytes, fault });
        }
        due.for_each(|entry| entry.is_late = true);
        if let Some(code) = errno {
            return Err(io::Error::from_raw_os_error(code));
        }
        // Stop at the next fault at a byte: that fault comes at the next call.
        let stops = self
            .script
            .iter()
            .filter(|entry| entry.planned.operation == operation && !entry.has_come)
            .filter_map(|entry| match entry.planned.at {
                At::Byte(byte) | At::BytesFrom(byte) => {
                    byte.checked_sub(now.bytes).filter(|left| *left > 0)
                }
                At::Call(_) | At::CallsFrom(_) => None,
            });
        if let Some(left) = stops.min() {
            room = room.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if room == 0 && len > 0 {
            return Ok(0);
        }
        let passed = call(&mut self.inner, room)?;
        match operation {
            Operation::Read => self.reads.bytes += passed as u64,
            Operation::Write => self.writes.bytes += passed as u64,
            Operation::Flush => {}
        }
        Ok(passed)
    }
}

impl Entry {
    /// Whether it happens at this call, which offers `len` bytes.
    fn is_due(&self, now: Count, len: usize) -> bool {
        let is_here = match self.planned.at {
            At::Call(call) => now.calls == call,
            At::CallsFrom(call) => now.calls >= call,
            At::Byte(byte) => now.bytes == byte,
            At::BytesFrom(byte) => now.bytes >= byte,
        };
        let is_over = self.has_come && !self.stays();
        let changes_something = match self.planned.fault {
            Fault::Short(most) => most < len,
            Fault::Errno(_) => true,
        };
        (is_here || self.is_late) && !is_over && changes_something
    }

    fn stays(&self) -> bool {
        matches!(self.planned.at, At::CallsFrom(_) | At::BytesFrom(_))
    }
}

impl<T: Read> Read for Faulty<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.answer(Operation::Read, buf.len(), |inner, room| inner.read(&mut buf[..room]))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        self.answer(Operation::Read, len, |inner, room| {
            let mut left = room;
            let mut bufs: Vec<_> = bufs
                .iter_mut()
                .map(|buf| {
                    let part = left.min(buf.len());
                    left -= part;
                    IoSliceMut::new(&mut buf[..part])
                })
                .collect();
            inner.read_vectored(&mut bufs)
        })
    }
}

impl<T: Write> Write for Faulty<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.answer(Operation::Write, buf.len(), |inner, room| inner.write(&buf[..room]))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        self.answer(Operation::Write, len, |inner, room| {
            let mut left = room;
            let bufs: Vec<_> = bufs
                .iter()
                .map(|buf| {
                    let part = left.min(buf.len());
                    left -= part;
                    IoSlice::new(&buf[..part])
                })
                .collect();
            inner.write_vectored(&bufs)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.answer(Operation::Flush, 0, |inner, _| inner.flush().map(|()| 0)).map(drop)
    }
}
