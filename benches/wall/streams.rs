//! Reads, buffered writes, accepts, and writes to a reader that reads at the same time.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, BufWriter, IoSlice, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use epipe_benches::{Lane, tcp};
use socket2::SockRef;

use crate::calls::LENGTHS;
use crate::copy::{LEN, feed};
use crate::table::{ACCEPTS, CALLS, COPIES, Clock, Ratio, STREAMS, Table};

/// Times one way to read `len` bytes from TCP. It returns how many bytes it has read.
fn read_all<R: From<OwnedFd>>(
    clock: Clock,
    len: u64,
    read: impl FnOnce(R) -> (usize, Vec<u8>),
) -> Duration {
    let (reader, writer) = tcp();
    let reader = OwnedFd::from(reader).into();
    let filled = feed(writer, len);
    // The time does not include freeing the memory.
    let mut kept = (0, Vec::new());
    let time = clock.time(|| kept = read(reader));
    assert_eq!(kept.0 as u64, len);
    filled.join().unwrap();
    time
}

fn to_end(mut reader: impl Read) -> (usize, Vec<u8>) {
    let mut all = Vec::new();
    (reader.read_to_end(&mut all).unwrap(), all)
}

fn to_string(mut reader: impl Read) -> (usize, Vec<u8>) {
    let mut all = String::new();
    (reader.read_to_string(&mut all).unwrap(), all.into_bytes())
}

fn lines(reader: impl Read) -> (usize, Vec<u8>) {
    let mut reader = BufReader::new(reader);
    let (mut all, mut line) = (0, String::new());
    loop {
        line.clear();
        match reader.read_line(&mut line).unwrap() {
            0 => return (all, line.into_bytes()),
            read => all += read,
        }
    }
}

pub fn read(criterion: &mut Criterion<Ratio>) {
    use epipe::net::TcpStream as Tcp;
    let mut table = Table::new(criterion, "read", COPIES);
    table.row(
        "A/A: read_to_end, 64 MiB against itself",
        |clock| read_all::<TcpStream>(clock, LEN, to_end),
        |clock| read_all::<TcpStream>(clock, LEN, to_end),
    );
    table.row(
        "read_to_end, 64 MiB against std",
        |clock| read_all::<Tcp>(clock, LEN, to_end),
        |clock| read_all::<TcpStream>(clock, LEN, to_end),
    );
    const SHORT: u64 = 16 << 20;
    table.row(
        "read_to_string, 16 MiB against std",
        |clock| read_all::<Tcp>(clock, SHORT, to_string),
        |clock| read_all::<TcpStream>(clock, SHORT, to_string),
    );
    table.row(
        "BufReader, 16 MiB in lines against std",
        |clock| read_all::<Tcp>(clock, SHORT, lines),
        |clock| read_all::<TcpStream>(clock, SHORT, lines),
    );
}

/// Times one way to write `len` bytes to TCP, then reads them.
fn written(lane: &Lane, clock: Clock, len: usize, write: impl FnOnce()) -> Duration {
    let time = clock.time(write);
    lane.drain(len);
    time
}

const PIECES: usize = 4096;

/// Pieces of 64 bytes through a `BufWriter` of 8 KiB.
fn pieces(lane: &Lane, clock: Clock, stream: impl Write) -> Duration {
    let mut writer = BufWriter::new(stream);
    written(lane, clock, PIECES * 64, || {
        for _ in 0..PIECES {
            writer.write_all(&[b'x'; 64]).unwrap();
        }
        writer.flush().unwrap();
    })
}

fn format_to(mut writer: impl Write, lines: usize) {
    for number in 0..lines {
        writeln!(writer, "{number}: {:>8} of {}", "line", lines).unwrap();
    }
    writer.flush().unwrap();
}

/// The length of the text that `format_to` writes.
fn formatted(lines: usize) -> usize {
    let mut all = String::new();
    for number in 0..lines {
        writeln!(all, "{number}: {:>8} of {}", "line", lines).unwrap();
    }
    all.len()
}

pub fn write(criterion: &mut Criterion<Ratio>) {
    use epipe::net::TcpStream as Tcp;
    let mut table = Table::new(criterion, "buffered writes", CALLS);
    let lane = &Lane::tcp();
    let (ours, std): (Tcp, TcpStream) = (lane.writer(), lane.writer());
    let other: TcpStream = lane.writer();
    table.row(
        "A/A: BufWriter, pieces of 64 B against itself",
        |clock| pieces(lane, clock, &other),
        |clock| pieces(lane, clock, &std),
    );
    table.row(
        "BufWriter, pieces of 64 B against std",
        |clock| pieces(lane, clock, &ours),
        |clock| pieces(lane, clock, &std),
    );
    const MANY: usize = 4096;
    let len = formatted(MANY);
    table.row(
        "write!, through a BufWriter against std",
        |clock| written(lane, clock, len, || format_to(BufWriter::new(&ours), MANY)),
        |clock| written(lane, clock, len, || format_to(BufWriter::new(&std), MANY)),
    );
    // Here each part of a line is a system call.
    const FEW: usize = 32;
    let len = formatted(FEW);
    table.row(
        "write!, without a buffer against std",
        |clock| written(lane, clock, len, || format_to(&ours, FEW)),
        |clock| written(lane, clock, len, || format_to(&std, FEW)),
    );
}

/// Accepts and closes 500 connections, 100 of which wait at a time.
fn accepts<S>(clock: Clock, address: SocketAddr, accept: impl Fn() -> S) -> Duration {
    let mut time = Duration::ZERO;
    for _ in 0..5 {
        let clients: Vec<TcpStream> = (0..100)
            .map(|_| {
                let client = TcpStream::connect(address).unwrap();
                // Its close resets the connection, so no port is left in TIME_WAIT.
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
                client
            })
            .collect();
        time += clock.time(|| {
            for _ in &clients {
                drop(accept());
            }
        });
    }
    time
}

pub fn accept(criterion: &mut Criterion<Ratio>) {
    let mut table = Table::new(criterion, "accept", ACCEPTS);
    let std = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ours = epipe::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (to_std, to_other, to_ours) =
        (std.local_addr().unwrap(), other.local_addr().unwrap(), ours.local_addr().unwrap());
    table.row(
        "A/A: accept + close against itself",
        |clock| accepts(clock, to_other, || other.accept().unwrap()),
        |clock| accepts(clock, to_std, || std.accept().unwrap()),
    );
    table.row(
        "accept + close against std",
        |clock| accepts(clock, to_ours, || ours.accept().unwrap()),
        |clock| accepts(clock, to_std, || std.accept().unwrap()),
    );
}

/// A connection with a thread that reads all the time.
struct Reading {
    writer: OwnedFd,
    /// The reader sends a message after every `total` bytes.
    arrived: mpsc::Receiver<()>,
    total: usize,
}

impl Reading {
    fn new(
        (reader, writer): (impl Read + Send + 'static, impl Into<OwnedFd>),
        total: usize,
    ) -> Reading {
        let (arrive, arrived) = mpsc::channel();
        let mut reader = reader;
        thread::spawn(move || {
            let mut space = vec![0; 1 << 20];
            let mut got = 0;
            loop {
                let most = space.len().min(total - got);
                match reader.read(&mut space[..most]).unwrap() {
                    0 => return, // the table is done
                    read => got += read,
                }
                if got == total {
                    got = 0;
                    // It fails if the writing thread has panicked.
                    let _ = arrive.send(());
                }
            }
        });
        Reading { writer: writer.into(), arrived, total }
    }

    fn writer<W: From<OwnedFd>>(&self) -> W {
        self.writer.try_clone().unwrap().into()
    }

    /// Times a stream of writes until its last byte has been read.
    fn run(
        &self,
        clock: Clock,
        mut write: impl FnMut(usize) -> std::io::Result<usize>,
    ) -> Duration {
        clock.time(|| {
            let mut left = self.total;
            while left > 0 {
                left -= write(left).unwrap();
            }
            self.arrived.recv().unwrap();
        })
    }

    fn writes<W: Write + From<OwnedFd>>(&self, len: usize) -> impl FnMut(Clock) -> Duration {
        let mut writer: W = self.writer();
        let data = vec![b'x'; len];
        move |clock| self.run(clock, |left| writer.write(&data[..len.min(left)]))
    }

    fn slices<W: Write + From<OwnedFd>>(
        &self,
        len: usize,
        number: usize,
    ) -> impl FnMut(Clock) -> Duration {
        let mut writer: W = self.writer();
        let data = vec![b'x'; len];
        move |clock| {
            let slices: Vec<IoSlice<'_>> = data.chunks(len / number).map(IoSlice::new).collect();
            self.run(clock, |left| {
                if left < len {
                    writer.write(&data[..left])
                } else {
                    writer.write_vectored(&slices)
                }
            })
        }
    }
}

/// How many bytes one measurement writes: some ten milliseconds of work.
fn total(len: usize) -> usize {
    match len {
        64 => 1 << 20,
        1024 => 8 << 20,
        _ => 32 << 20,
    }
}

fn stream<S, P>(table: &mut Table<'_>, kind: &str, open: impl Fn(usize) -> Reading)
where
    S: Write + From<OwnedFd>,
    P: Write + From<OwnedFd>,
{
    for (size, len) in LENGTHS {
        let reading = &open(total(len));
        if matches!(len, 64 | 0x4000) {
            table.row(
                &format!("A/A: {kind}, {size} against itself"),
                reading.writes::<P>(len),
                reading.writes::<P>(len),
            );
        }
        table.row(
            &format!("{kind}, {size} against std write"),
            reading.writes::<S>(len),
            reading.writes::<P>(len),
        );
    }
    let len = 16 << 10;
    for number in [1, 2, 8] {
        let reading = &open(total(len));
        let slice = if number == 1 { "slice" } else { "slices" };
        table.row(
            &format!("{kind}, 16 KiB in {number} {slice} against std write_vectored"),
            reading.slices::<S>(len, number),
            reading.slices::<P>(len, number),
        );
    }
}

pub fn throughput(criterion: &mut Criterion<Ratio>) {
    let mut table = Table::new(criterion, "throughput", STREAMS);
    stream::<epipe::net::TcpStream, TcpStream>(&mut table, "TCP", |total| {
        let (reader, writer) = tcp();
        writer.set_nodelay(true).unwrap();
        Reading::new((reader, writer), total)
    });
    stream::<epipe::os::unix::net::UnixStream, UnixStream>(&mut table, "Unix", |total| {
        let (reader, writer) = UnixStream::pair().unwrap();
        Reading::new((reader, writer), total)
    });
    stream::<epipe::io::PipeWriter, PipeWriter>(&mut table, "pipe", |total| {
        let (reader, writer): (PipeReader, PipeWriter) = std::io::pipe().unwrap();
        Reading::new((reader, writer), total)
    });
}
