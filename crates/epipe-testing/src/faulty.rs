//! A reader and writer that answers by a script.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};

use crate::sys;

/// What a [`Faulty`] answers in place of, or on top of, its inner handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// At most so many bytes are passed on: a short count. None at all is the end of the stream for
    /// a read, and `WriteZero` for `write_all`.
    Short(usize),
    /// The call fails with this OS error, and nothing is passed on.
    Errno(i32),
}

impl Fault {
    /// `EINTR`: a signal came first.
    pub const INTERRUPTED: Fault = Fault::Errno(sys::INTERRUPTED);
    /// `EAGAIN`: nothing is there, or no room.
    pub const WOULD_BLOCK: Fault = Fault::Errno(sys::WOULD_BLOCK);
    /// `ENOBUFS`: the network's queue is full.
    pub const NO_BUFFERS: Fault = Fault::Errno(sys::NO_BUFFERS);
    /// `EPIPE`: the peer is gone. Only the error: no signal is raised.
    pub const BROKEN_PIPE: Fault = Fault::Errno(sys::BROKEN_PIPE);
}

/// When a [`Fault`] comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum At {
    /// At the k-th call, from 1.
    Call(u64),
    /// At every call from the k-th on.
    CallsFrom(u64),
    /// When exactly so many bytes have been passed on: a call that would go beyond them is cut
    /// short there, and the next one has the fault. Once: the call after it goes on.
    Byte(u64),
    /// As `Byte`, and at every call from there on: as a pipe is that has broken.
    BytesFrom(u64),
}

/// Which call.
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

/// One line of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// Which call.
    pub operation: Operation,
    /// When.
    pub at: At,
    /// What.
    pub fault: Fault,
}

/// A fault that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// Which call.
    pub operation: Operation,
    /// The how-manieth of its kind, from 1.
    pub call: u64,
    /// How many bytes had been passed on before.
    pub byte: u64,
    /// What it answered.
    pub fault: Fault,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Injected { operation, call, byte, fault } = self;
        write!(f, "{operation:?} {call}, after {byte} bytes: {fault:?}")
    }
}

/// A handle that answers by a script, for what no peer can provoke: short counts, `EINTR`, `EAGAIN`
/// and any other error, at the k-th call or at a byte. What the script does not say is the inner
/// handle's answer. The code under test takes it where it takes any `Read` or `Write`.
///
/// Each call has one fault at most. Of several that are due, the one that was told first comes
/// first, and the others at the calls after it; those that stay ([`At::CallsFrom`],
/// [`At::BytesFrom`]) come where no other does.
///
/// ```
/// use std::io::Write;
///
/// use epipe_testing::{At, Fault, Faulty};
///
/// let mut log = Faulty::new(Vec::new())
///     .on_write(At::Call(1), Fault::INTERRUPTED)
///     .on_write(At::Byte(3), Fault::Short(1))
///     .on_write(At::Byte(100), Fault::BROKEN_PIPE);
/// log.write_all(b"every byte arrives")?;
///
/// assert_eq!(log.injected().len(), 2);
/// assert_eq!(log.unreached().len(), 1); // 18 bytes only
/// assert_eq!(log.into_inner(), b"every byte arrives");
/// # Ok::<(), std::io::Error>(())
/// ```
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
    /// It was due, and another one had the call.
    is_late: bool,
}

/// The calls of one kind, and the bytes that they have passed on.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    calls: u64,
    bytes: u64,
}

impl<T> Faulty<T> {
    /// A handle without a script: it answers as `inner` does.
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

    /// A fault of reads.
    #[must_use]
    pub fn on_read(self, at: At, fault: Fault) -> Faulty<T> {
        self.on(Operation::Read, at, fault)
    }

    /// A fault of writes.
    #[must_use]
    pub fn on_write(self, at: At, fault: Fault) -> Faulty<T> {
        self.on(Operation::Write, at, fault)
    }

    /// A fault of flushes. They pass on no bytes: of places at a byte only byte 0 comes.
    #[must_use]
    pub fn on_flush(self, at: At, fault: Fault) -> Faulty<T> {
        self.on(Operation::Flush, at, fault)
    }

    fn on(mut self, operation: Operation, at: At, fault: Fault) -> Faulty<T> {
        let planned = Planned { operation, at, fault };
        self.script.push(Entry { planned, has_come: false, is_late: false });
        self
    }

    /// The faults that have come, in order. A short count has come if it has shortened.
    pub fn injected(&self) -> &[Injected] {
        &self.injected
    }

    /// The lines of the script that never came: a test that ends with one has not tested it.
    pub fn unreached(&self) -> Vec<Planned> {
        self.script.iter().filter(|entry| !entry.has_come).map(|entry| entry.planned).collect()
    }

    /// The inner handle.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The inner handle. What it does by itself is not in the script.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// The inner handle.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Makes one call that offers `len` bytes; `call` is told how many it may pass on.
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
        // The next fault that waits at a byte has a call of its own.
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
    /// Whether it comes at this call, which offers `len` bytes.
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

    /// It comes again and again.
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
