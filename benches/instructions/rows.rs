//! The rows: each call of this crate, and the same call of its peers.

use std::ffi::c_int;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::thread;

use epipe_benches::{curl, libpq};

use super::ends::{MIB, SMALL, Sink, Source, ours, pipe, slices, sources, stds, tcp, text};

const LARGE: usize = 16 << 10;

/// Makes a call as often as its argument says.
pub(crate) type Loop = Box<dyn FnMut(usize)>;

/// Prepares as many calls as its argument says.
pub(crate) type Prepare = fn(usize) -> Loop;

pub(crate) struct Row {
    pub(crate) name: String,
    /// The number N of calls.
    pub(crate) calls: usize,
    pub(crate) subject: Prepare,
    pub(crate) peers: Vec<(&'static str, Prepare)>,
}

impl Row {
    fn new(name: impl Into<String>, calls: usize, subject: Prepare) -> Row {
        Row { name: name.into(), calls, subject, peers: Vec::new() }
    }

    fn against(mut self, name: &'static str, peer: Prepare) -> Row {
        self.peers.push((name, peer));
        self
    }

    /// The subject, then the peers.
    pub(crate) fn ways(&self) -> impl Iterator<Item = Prepare> {
        [self.subject].into_iter().chain(self.peers.iter().map(|&(_, prepare)| prepare))
    }
}

pub(crate) fn rows() -> Vec<Row> {
    use epipe::sigpipe::suppressed;

    let mut rows = vec![Row::new("the loop alone", 50, nothing).against("the same", nothing)];
    rows.extend(stream_rows::<ours::TcpStream, stds::TcpStream>("TCP"));
    rows.extend(stream_rows::<ours::UnixStream, stds::UnixStream>("Unix"));
    rows.extend([
        Row::new("pipe write 64 B", 50, write::<ours::PipeWriter, SMALL>)
            .against("std write", write::<stds::PipeWriter, SMALL>)
            .against("libc writev", writev::<SMALL, 1>)
            .against("libpq's way", write_by_mask::<SMALL>),
        Row::new("pipe write 64 B under a guard", 50, write_under_guard::<SMALL>)
            .against("std write", write::<stds::PipeWriter, SMALL>),
        Row::new("pipe write_vectored 2 slices", 50, write_vectored::<ours::PipeWriter, SMALL, 2>)
            .against("std write_vectored", write_vectored::<stds::PipeWriter, SMALL, 2>)
            .against("libc writev", writev::<SMALL, 2>),
        Row::new("pipe write_vectored 8 slices", 50, write_vectored::<ours::PipeWriter, SMALL, 8>)
            .against("std write_vectored", write_vectored::<stds::PipeWriter, SMALL, 8>)
            .against("libc writev", writev::<SMALL, 8>),
        Row::new("suppressed(|| ())", 50, |_| repeat(|| suppressed(|| black_box(())).unwrap()))
            .against("curl's three calls", |_| repeat(|| curl(|| black_box(()))))
            .against("libpq's way", |_| repeat(|| expect(libpq(|| Ok(black_box(SMALL))), SMALL))),
        Row::new("read_to_end 1 MiB, Unix", 2, read_to_end::<ours::UnixStream>)
            .against("std", read_to_end::<stds::UnixStream>),
        Row::new("read_to_string 1 MiB, Unix", 2, read_to_string::<ours::UnixStream>)
            .against("std", read_to_string::<stds::UnixStream>),
        Row::new("BufReader, 1024 lines, Unix", 2, lines::<ours::UnixStream>)
            .against("std", lines::<stds::UnixStream>),
        Row::new("BufWriter, 128 writes of 64 B, Unix", 4, buffered::<ours::UnixStream>)
            .against("std", buffered::<stds::UnixStream>),
        Row::new("writeln!, Unix", 20, formatted::<ours::UnixStream>)
            .against("std", formatted::<stds::UnixStream>),
        Row::new("accept + close", 20, |calls| accept(calls, ours::TcpListener::accept))
            .against("std", |calls| accept(calls, stds::TcpListener::accept)),
        Row::new("io::copy pipe to TCP, 1 MiB", 2, |calls| {
            copy::<ours::PipeReader, ours::TcpStream>(calls, ours::copy)
        })
        .against("std's splice", |calls| {
            copy::<stds::PipeReader, stds::TcpStream>(calls, stds::copy)
        }),
        Row::new("io::copy pipe to TCP, 1024 pieces of 64 KiB", 1, |calls| {
            copy_pieces::<ours::PipeReader, ours::TcpStream>(calls, ours::copy)
        })
        .against("std's splice", |calls| {
            copy_pieces::<stds::PipeReader, stds::TcpStream>(calls, stds::copy)
        }),
        Row::new("io::copy TCP to TCP, 1 MiB", 2, |calls| {
            copy::<ours::TcpStream, ours::TcpStream>(calls, ours::copy)
        })
        .against("std", |calls| copy::<stds::TcpStream, stds::TcpStream>(calls, stds::copy)),
        Row::new("io::copy TCP to pipe, 1 MiB", 2, |calls| {
            copy::<ours::TcpStream, ours::PipeWriter>(calls, ours::copy)
        })
        .against("std", |calls| copy::<stds::TcpStream, stds::PipeWriter>(calls, stds::copy)),
        Row::new("io::copy &[u8] to Vec, 64 B", 50, |_| copy_to_vec(ours::copy))
            .against("std", |_| copy_to_vec(stds::copy)),
        Row::new("io::copy &[u8] to TCP, 64 B", 50, |_| copy_slice::<ours::TcpStream>(ours::copy))
            .against("std", |_| copy_slice::<stds::TcpStream>(stds::copy)),
    ]);
    rows
}

fn stream_rows<Ours: Sink, Std: Sink>(kind: &str) -> [Row; 6] {
    [
        Row::new(format!("write 64 B, {kind}"), 50, write::<Ours, SMALL>)
            .against("std write", write::<Std, SMALL>),
        Row::new(format!("write 16 KiB, {kind}"), 8, write::<Ours, LARGE>)
            .against("std write", write::<Std, LARGE>),
        vectored_row::<Ours, Std, SMALL, 2>("64 B", kind, 50),
        vectored_row::<Ours, Std, SMALL, 8>("64 B", kind, 50),
        vectored_row::<Ours, Std, LARGE, 2>("16 KiB", kind, 8),
        vectored_row::<Ours, Std, LARGE, 8>("16 KiB", kind, 8),
    ]
}

fn vectored_row<Ours: Sink, Std: Sink, const LEN: usize, const SLICES: usize>(
    len: &str,
    kind: &str,
    calls: usize,
) -> Row {
    let name = format!("write_vectored {len}, {SLICES} slices, {kind}");
    Row::new(name, calls, write_vectored::<Ours, LEN, SLICES>)
        .against("std write_vectored", write_vectored::<Std, LEN, SLICES>)
}

// --------------------------------------------------------------------------- the calls ----

/// Repeats one call.
fn repeat(mut call: impl FnMut() + 'static) -> Loop {
    Box::new(move |calls| {
        for _ in 0..calls {
            call();
        }
    })
}

/// Makes one call for each item. Each item is used once.
fn each<T: 'static>(mut items: Vec<T>, mut call: impl FnMut(&mut T) + 'static) -> Loop {
    Box::new(move |calls| items[..calls].iter_mut().for_each(&mut call))
}

/// The check of a result, the same for all calls.
#[inline(always)]
fn expect<N: PartialEq>(answer: io::Result<N>, len: N) {
    assert!(answer.is_ok_and(|n| n == len));
}

fn nothing(_: usize) -> Loop {
    repeat(|| expect(black_box(Ok(SMALL)), SMALL))
}

fn write<S: Sink, const LEN: usize>(_: usize) -> Loop {
    let mut sink = S::connected();
    let data = text(LEN);
    repeat(move || expect(sink.write(data), LEN))
}

fn write_vectored<S: Sink, const LEN: usize, const SLICES: usize>(_: usize) -> Loop {
    let mut sink = S::connected();
    let slices = slices::<LEN, SLICES>();
    repeat(move || expect(sink.write_vectored(&slices), LEN))
}

fn writev<const LEN: usize, const SLICES: usize>(_: usize) -> Loop {
    let sink = stds::PipeWriter::connected();
    let slices = slices::<LEN, SLICES>();
    repeat(move || {
        // SAFETY: std promises that an IoSlice is an iovec, and all slices outlive the call.
        let sent =
            unsafe { libc::writev(sink.as_raw_fd(), slices.as_ptr().cast(), SLICES as c_int) };
        assert_eq!(sent, LEN as isize);
    })
}

fn write_by_mask<const LEN: usize>(_: usize) -> Loop {
    let mut sink = stds::PipeWriter::connected();
    let data = text(LEN);
    repeat(move || expect(libpq(|| sink.write(data)), LEN))
}

fn write_under_guard<const LEN: usize>(_: usize) -> Loop {
    let guard = epipe::sigpipe::guard().unwrap();
    let mut sink = ours::PipeWriter::connected();
    let data = text(LEN);
    repeat(move || {
        let _held = &guard;
        expect(sink.write(data), LEN);
    })
}

fn read_to_end<S: Source>(calls: usize) -> Loop {
    each(sources::<S>(calls, MIB), |source| {
        let mut data = Vec::new();
        expect(source.read_to_end(&mut data), MIB);
        black_box(data);
    })
}

fn read_to_string<S: Source>(calls: usize) -> Loop {
    each(sources::<S>(calls, MIB), |source| {
        let mut data = String::new();
        expect(source.read_to_string(&mut data), MIB);
        black_box(data);
    })
}

fn lines<S: Source>(calls: usize) -> Loop {
    each(sources::<S>(calls, 1024 * SMALL), |source| {
        let mut reader = BufReader::new(source);
        let mut line = String::new();
        for _ in 0..1024 {
            line.clear();
            expect(reader.read_line(&mut line), SMALL);
        }
        expect(reader.read_line(&mut line), 0);
    })
}

fn buffered<S: Sink>(_: usize) -> Loop {
    let mut writer = BufWriter::new(S::connected());
    let data = text(SMALL);
    repeat(move || {
        for _ in 0..128 {
            expect(writer.write_all(data), ());
        }
        expect(writer.flush(), ());
    })
}

fn formatted<S: Sink>(_: usize) -> Loop {
    let mut sink = S::connected();
    repeat(move || expect(writeln!(sink, "{} and {}", black_box("this"), black_box(7)), ()))
}

fn accept<L: From<stds::TcpListener> + 'static, S>(
    calls: usize,
    accept: impl Fn(&L) -> io::Result<(S, SocketAddr)> + 'static,
) -> Loop {
    let listener = stds::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for _ in 0..calls {
        mem::forget(stds::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    }
    let listener = L::from(listener);
    repeat(move || drop(accept(&listener).unwrap()))
}

fn copy<R: Source, W: Sink>(
    calls: usize,
    copy: impl Fn(&mut R, &mut W) -> io::Result<u64> + 'static,
) -> Loop {
    let sinks = (0..calls).map(|_| W::connected());
    let ends = sources::<R>(calls, MIB).into_iter().zip(sinks).collect();
    each(ends, move |(reader, writer)| expect(copy(reader, writer), MIB as u64))
}

/// A copy from a slow source. A second thread, which is not counted, writes a piece after the last
/// one has arrived at the other end. Both ends take a piece as a whole, so each copy makes the same
/// number of calls.
fn copy_pieces<R, W>(
    calls: usize,
    copy: impl Fn(&mut R, &mut W) -> io::Result<u64> + 'static,
) -> Loop
where
    R: From<stds::PipeReader> + 'static,
    W: From<stds::TcpStream> + 'static,
{
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 1024;
    let ends = (0..calls).map(|_| {
        let (reader, mut feed) = pipe();
        let (mut drain, writer) = tcp();
        thread::spawn(move || {
            let mut piece = text(PIECE).to_vec();
            // An error means that a copy was prepared and not played.
            for _ in 0..PIECES {
                if feed.write_all(&piece).is_err() || drain.read_exact(&mut piece).is_err() {
                    break;
                }
            }
        });
        (R::from(reader), W::from(writer))
    });
    each(ends.collect(), move |(reader, writer)| {
        expect(copy(reader, writer), (PIECE * PIECES) as u64);
    })
}

fn copy_to_vec(
    copy: impl Fn(&mut &'static [u8], &mut Vec<u8>) -> io::Result<u64> + 'static,
) -> Loop {
    let mut data = Vec::with_capacity(SMALL);
    let text = text(SMALL);
    repeat(move || {
        data.clear();
        expect(copy(&mut { text }, &mut data), SMALL as u64);
    })
}

fn copy_slice<W: Sink>(
    copy: impl Fn(&mut &'static [u8], &mut W) -> io::Result<u64> + 'static,
) -> Loop {
    let mut sink = W::connected();
    let text = text(SMALL);
    repeat(move || expect(copy(&mut { text }, &mut sink), SMALL as u64))
}
