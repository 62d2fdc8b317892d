//! `epipe::io::copy`, and `sendfile` of the streams: what arrives, what remains, and the state
//! after an error.
//!
//! A sink that takes little, and a slow reader, make every way of copying stop in the middle.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "signals and fcntl have no safe form")]
#![cfg(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd",
    target_vendor = "apple",
))]

use std::fmt::{self, Debug};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Take, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use epipe::NoSigpipe;
use epipe::io::copy;
use epipe::net::TcpStream;
use epipe::os::unix::net::UnixStream;
use socket2::SockRef;

/// Bytes in which no two parts are alike.
fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// More than any way of copying moves at once.
const LONG: usize = 3 << 20;

/// An open file that is in no directory, with its position at the start.
fn file(content: &[u8]) -> File {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("epipe-copy-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

/// Waits, 10 seconds at most, until a descriptor takes a write.
fn wait_writable(fd: RawFd) {
    let mut polled = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, valid for the call.
    assert_eq!(unsafe { libc::poll(&mut polled, 1, 10_000) }, 1);
}

fn whole(mut file: &File) -> Vec<u8> {
    let mut content = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut content).unwrap();
    content
}

fn tcp() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn unix() -> (std::os::unix::net::UnixStream, std::os::unix::net::UnixStream) {
    std::os::unix::net::UnixStream::pair().unwrap()
}

/// Writes until all is written, or until the reader is gone.
fn fill(mut sink: impl Write + Send + 'static, content: &[u8]) {
    let content = content.to_vec();
    thread::spawn(move || drop(sink.write_all(&content)));
}

fn drain(mut source: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut content = Vec::new();
        source.read_to_end(&mut content).unwrap();
        content
    })
}

/// A source that gives `content` and ends.
fn source(kind: &str, content: &[u8]) -> OwnedFd {
    match kind {
        "tcp" => {
            let (theirs, ours) = tcp();
            fill(theirs, content);
            ours.into()
        }
        "unix" => {
            let (theirs, ours) = unix();
            fill(theirs, content);
            ours.into()
        }
        "pipe" => {
            let (ours, theirs) = io::pipe().unwrap();
            fill(theirs, content);
            ours.into()
        }
        "file" => file(content).into(),
        kind => panic!("{kind}"),
    }
}

/// Copies from a source of this kind, as its own type.
fn copy_from<W: Write>(kind: &str, from: OwnedFd, to: &mut W) -> io::Result<u64> {
    match kind {
        "tcp" => copy(&mut TcpStream::from(from), to),
        "unix" => copy(&mut UnixStream::from(from), to),
        "pipe" => copy(&mut epipe::io::PipeReader::from(from), to),
        "file" => copy(&mut File::from(from), to),
        kind => panic!("{kind}"),
    }
}

/// A sink, and a function that returns what it received after it was closed.
fn sink(kind: &str) -> (OwnedFd, Box<dyn FnOnce() -> Vec<u8>>) {
    fn joined(thread: JoinHandle<Vec<u8>>) -> Box<dyn FnOnce() -> Vec<u8>> {
        Box::new(|| thread.join().unwrap())
    }
    match kind {
        "tcp" => {
            let (ours, theirs) = tcp();
            (ours.into(), joined(drain(theirs)))
        }
        "unix" => {
            let (ours, theirs) = unix();
            (ours.into(), joined(drain(theirs)))
        }
        "pipe" => {
            let (theirs, ours) = io::pipe().unwrap();
            (ours.into(), joined(drain(theirs)))
        }
        "file" => {
            let ours = file(b"");
            let theirs = ours.try_clone().unwrap();
            (ours.into(), Box::new(move || whole(&theirs)))
        }
        kind => panic!("{kind}"),
    }
}

/// Copies between every kind of source and sink, as the types that `$from` and `$to` name.
macro_rules! every_pair {
    ($content:expr, $($source:literal $from:ty),+; $to:tt) => {$(
        every_pair!(@from $content, $source $from, $to);
    )+};
    (@from $content:expr, $source:literal $from:ty, [$($sink:literal $to:ty),+]) => {$({
        let (to, received) = sink($sink);
        let mut from = <$from>::from(source($source, $content));
        let mut to = <$to>::from(to);
        let copied = copy(&mut from, &mut to).unwrap();
        drop(to);
        let what = format!("{} -> {}", stringify!($from), stringify!($to));
        assert_eq!(copied, $content.len() as u64, "{what}");
        assert!(received() == $content, "{what}: other bytes arrived");
        assert_eq!(from.read(&mut [0]).unwrap(), 0, "{what}: data is left");
    })+};
}

#[test]
fn every_byte_arrives_between_all_types() {
    for len in [0, 1, 4096, 65536, 65537, LONG] {
        let content = &bytes(len)[..];
        every_pair!(
            content,
            "tcp" TcpStream, "unix" UnixStream, "pipe" epipe::io::PipeReader, "file" File,
            "tcp" std::net::TcpStream, "unix" std::os::unix::net::UnixStream,
            "pipe" io::PipeReader, "pipe" std::process::ChildStdout, "pipe" File,
            "tcp" epipe::socket2::Socket, "file" epipe::io::PipeReader;
            ["tcp" TcpStream, "unix" UnixStream, "pipe" epipe::io::PipeWriter, "file" File,
             "tcp" std::net::TcpStream, "unix" std::os::unix::net::UnixStream,
             "pipe" io::PipeWriter, "pipe" std::process::ChildStdin, "unix" epipe::socket2::Socket,
             "file" epipe::io::PipeWriter]
        );
    }
}

// ------------------------------------------------------------------------------ wrappers ----

#[test]
fn what_was_read_ahead_goes_first_and_limits_hold() {
    let content = bytes(LONG);
    for kind in ["tcp", "unix", "pipe", "file"] {
        for limit in [0, 5, 8192, 100_000, 1 << 20, LONG as u64, u64::MAX] {
            // The types differ by source. The test is about the shape.
            fn shapes<T: Read>(kind: &str, content: &[u8], limit: u64, open: impl Fn() -> T) {
                let expected = &content[3..][..usize::try_from(limit)
                    .map_or(content.len() - 3, |limit| limit.min(content.len() - 3))];
                let ahead = |mut reader: BufReader<T>| {
                    let mut first = [0; 3];
                    reader.read_exact(&mut first).unwrap();
                    assert_eq!(first, content[..3]);
                    reader
                };
                let arrived = |shape: &str, copy_to: &mut dyn FnMut(&mut UnixStream) -> u64| {
                    let (to, received) = sink("unix");
                    let copied = copy_to(&mut UnixStream::from(to));
                    let what = format!("{shape} of {kind}, {limit}");
                    assert_eq!(copied, expected.len() as u64, "{what}");
                    assert!(received() == expected, "{what}: other bytes arrived");
                };
                arrived("Take<BufReader>", &mut |to| {
                    let mut reader = ahead(BufReader::new(open())).take(limit);
                    let copied = copy(&mut reader, to).unwrap();
                    assert_eq!(reader.limit(), limit - copied);
                    rest_is(reader.into_inner(), &content[3 + copied as usize..]);
                    copied
                });
                arrived("Take<&mut BufReader>", &mut |to| {
                    let mut reader = ahead(BufReader::with_capacity(50_000, open()));
                    let mut limited = reader.by_ref().take(limit);
                    let copied = copy(&mut limited, to).unwrap();
                    assert_eq!(limited.limit(), limit - copied);
                    rest_is(reader, &content[3 + copied as usize..]);
                    copied
                });
                arrived("BufReader<Take>", &mut |to| {
                    let mut reader = BufReader::new(open().take(limit.saturating_add(3)));
                    let mut first = [0; 3];
                    reader.read_exact(&mut first).unwrap();
                    let copied = copy(&mut reader, to).unwrap();
                    assert_eq!(reader.buffer(), b"");
                    let limited: Take<T> = reader.into_inner();
                    assert_eq!(limited.limit(), limit.saturating_add(3) - 3 - copied);
                    rest_is(limited.into_inner(), &content[3 + copied as usize..]);
                    copied
                });
                arrived("Take", &mut |to| {
                    let mut plain = open();
                    plain.read_exact(&mut [0; 3]).unwrap();
                    let mut reader = plain.take(limit);
                    let copied = copy(&mut reader, to).unwrap();
                    assert_eq!(reader.limit(), limit - copied);
                    rest_is(reader.into_inner(), &content[3 + copied as usize..]);
                    copied
                });
                arrived("Take<&mut T>, by &mut", &mut |to| {
                    let mut plain = open();
                    plain.read_exact(&mut [0; 3]).unwrap();
                    let mut reader = plain.by_ref().take(limit);
                    let copied = copy(&mut &mut reader, &mut &mut *to).unwrap();
                    rest_is(plain, &content[3 + copied as usize..]);
                    copied
                });
            }
            let open = || source(kind, &content);
            match kind {
                "tcp" => shapes(kind, &content, limit, || TcpStream::from(open())),
                "unix" => shapes(kind, &content, limit, || UnixStream::from(open())),
                "pipe" => shapes(kind, &content, limit, || epipe::io::PipeReader::from(open())),
                _ => shapes(kind, &content, limit, || File::from(open())),
            }
        }
    }
}

/// Asserts what is left in a reader. The first bytes are enough.
fn rest_is(mut reader: impl Read, rest: &[u8]) {
    let mut first = vec![0; rest.len().min(1000)];
    reader.read_exact(&mut first).unwrap();
    assert!(first == rest[..first.len()]);
}

#[test]
fn what_a_buf_writer_holds_goes_first() {
    let content = bytes(LONG);
    for kind in ["tcp", "unix", "pipe", "file"] {
        let (to, received) = sink("unix");
        let to = UnixStream::from(to);
        let mut writer = BufWriter::new(&to);
        writer.write_all(b"head").unwrap();
        let from = source(kind, &content);
        let copied = match kind {
            "unix" => copy_from(kind, from, &mut &mut writer),
            _ => copy_from(kind, from, &mut writer),
        };
        assert_eq!(copied.unwrap(), LONG as u64);
        writer.write_all(b"tail").unwrap();
        drop(writer);
        drop(to);
        assert!(received() == [b"head", &content[..], b"tail"].concat(), "{kind}");
    }
}

/// The result of a copy, and where each byte is afterwards.
#[derive(PartialEq)]
struct Outcome {
    answer: Result<u64, ErrorKind>,
    /// The bytes that the sink has taken.
    arrived: Vec<u8>,
    /// The bytes that a `BufWriter` still holds for the sink.
    held: Vec<u8>,
    /// The bytes that the reader gives next, without the limit.
    rest: Vec<u8>,
    limit: Option<u64>,
}

impl Outcome {
    /// All bytes in their order, wherever they are.
    fn all(&self) -> Vec<u8> {
        [&self.arrived[..], &self.held, &self.rest].concat()
    }
}

impl Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lens = [&self.arrived, &self.held, &self.rest].map(Vec::len);
        let Outcome { answer, limit, .. } = self;
        write!(f, "{answer:?}, limit {limit:?}, arrived/held/rest {lens:?}")
    }
}

fn copy_by<R: Read, W: Write>(ours: bool, from: &mut R, to: &mut W) -> io::Result<u64> {
    match ours {
        true => copy(from, to),
        false => io::copy(from, to),
    }
}

/// The sinks for the copies of [`outcome`].
#[derive(Clone, Copy)]
enum To {
    /// A pipe that takes all.
    Open,
    /// A pipe that is full after this many bytes, and does not block.
    Full(usize),
    /// A pipe without a reader.
    Broken,
}

/// One copy from a source of `R` to a pipe of `W`. `shape` names the wrappers around them.
fn outcome<R, W>(ours: bool, shape: &str, kind: &str, content: &[u8], to: To) -> Outcome
where
    R: Read + From<OwnedFd>,
    W: Write + From<OwnedFd>,
{
    const LIMIT: u64 = 70_000;
    const AHEAD: usize = 20_000;
    // All data is in the source before the copy begins, so each read is the same in each run.
    let from = match kind {
        "file" => file(content).into(),
        _ => {
            let (theirs, from) = unix();
            (&theirs).write_all(content).unwrap();
            OwnedFd::from(from)
        }
    };
    let from = R::from(from);
    let (mut theirs, to, drained) = match to {
        To::Open => {
            let (theirs, to) = io::pipe().unwrap();
            (None, to, Some(drain(theirs)))
        }
        To::Full(room) => {
            let (theirs, mut to) = io::pipe().unwrap();
            set_flags(to.as_raw_fd(), libc::O_NONBLOCK);
            to.write_all(&vec![0; 65536 - room]).unwrap();
            (Some((theirs, 65536 - room)), to, None)
        }
        To::Broken => (None, io::pipe().unwrap().1, None),
    };
    let mut to = W::from(to.into());

    let buffered = |from: R| {
        let mut from = BufReader::with_capacity(AHEAD, from);
        from.read_exact(&mut [0; 3]).unwrap();
        from
    };
    // The rest is read without the limit, from the reader below it.
    fn rest_of(mut from: impl Read) -> Vec<u8> {
        let mut rest = Vec::new();
        from.read_to_end(&mut rest).unwrap();
        rest
    }
    let mut held = Vec::new();
    let mut limit = None;
    let (answer, rest) = match shape {
        "BufReader" => {
            let mut from = buffered(from);
            (copy_by(ours, &mut from, &mut to), rest_of(from))
        }
        "Take" => {
            let mut from = from.take(LIMIT);
            let answer = copy_by(ours, &mut from, &mut to);
            limit = Some(from.limit());
            (answer, rest_of(from.into_inner()))
        }
        "Take<BufReader>" => {
            let mut from = buffered(from).take(LIMIT);
            let answer = copy_by(ours, &mut from, &mut to);
            limit = Some(from.limit());
            (answer, rest_of(from.into_inner()))
        }
        "BufReader<Take>" => {
            let mut from = BufReader::new(from.take(LIMIT));
            from.read_exact(&mut [0; 3]).unwrap();
            let answer = copy_by(ours, &mut from, &mut to);
            let mut rest = from.buffer().to_vec();
            let from = from.into_inner();
            limit = Some(from.limit());
            rest.extend(rest_of(from.into_inner()));
            (answer, rest)
        }
        // Into a writer that already holds data.
        "BufWriter" | "BufReader, BufWriter" => {
            let mut writer = BufWriter::with_capacity(AHEAD, to);
            writer.write_all(b"head").unwrap();
            let (answer, rest) = if shape == "BufWriter" {
                let mut from = from;
                (copy_by(ours, &mut from, &mut writer), rest_of(from))
            } else {
                let mut from = buffered(from);
                (copy_by(ours, &mut from, &mut writer), rest_of(from))
            };
            // std's copy may leave a part in the writer.
            let answer = answer.and_then(|copied| writer.flush().map(|()| copied));
            let (inner, kept) = writer.into_parts();
            held = kept.unwrap();
            to = inner;
            (answer, rest)
        }
        shape => panic!("{shape}"),
    };
    drop(to);
    let arrived = match (drained, theirs.take()) {
        (Some(drained), _) => drained.join().unwrap(),
        (None, Some((theirs, before))) => rest_of(theirs).split_off(before),
        (None, None) => Vec::new(),
    };
    Outcome { answer: answer.map_err(|error| error.kind()), arrived, held, rest, limit }
}

const SHAPES: [&str; 6] = [
    "BufReader",
    "Take",
    "Take<BufReader>",
    "BufReader<Take>",
    "BufWriter",
    "BufReader, BufWriter",
];

/// The outcomes of this crate's copy between its own types, of std's copy between std's types, and
/// of each copy between the types of the other.
fn outcomes(shape: &str, kind: &str, content: &[u8], to: To) -> [Outcome; 4] {
    type Writer = epipe::io::PipeWriter;
    match kind {
        "file" => [
            outcome::<File, Writer>(true, shape, kind, content, to),
            outcome::<File, io::PipeWriter>(false, shape, kind, content, to),
            outcome::<File, Writer>(false, shape, kind, content, to),
            outcome::<File, io::PipeWriter>(true, shape, kind, content, to),
        ],
        _ => {
            type Std = std::os::unix::net::UnixStream;
            [
                outcome::<UnixStream, Writer>(true, shape, kind, content, to),
                outcome::<Std, io::PipeWriter>(false, shape, kind, content, to),
                outcome::<UnixStream, Writer>(false, shape, kind, content, to),
                outcome::<Std, io::PipeWriter>(true, shape, kind, content, to),
            ]
        }
    }
}

/// Only on these systems do pipes and sockets surely hold what the tests put into them.
const HOLDS_MUCH: bool = cfg!(any(target_os = "android", target_os = "linux"));
const KINDS: &[&str] = if HOLDS_MUCH { &["file", "unix"] } else { &["file"] };

#[test]
fn wrappers_are_copied_as_by_std() {
    let content = bytes(100_000);
    for &kind in KINDS {
        for shape in SHAPES {
            let what = format!("{shape} of {kind}");
            let [ours, stds, ours_by_std, stds_by_us] = outcomes(shape, kind, &content, To::Open);
            assert!(ours.answer.is_ok(), "{what}: {ours:?}");
            assert_eq!(ours, stds, "{what}");
            assert_eq!(ours_by_std, stds, "{what}");
            assert_eq!(stds_by_us, stds, "{what}");
        }
    }
}

#[test]
fn wrappers_whose_sink_fails_are_left_as_by_std() {
    let content = bytes(100_000);
    for &kind in KINDS {
        for shape in SHAPES {
            for (to, room) in [
                (To::Broken, 0),
                (To::Full(0), 0),
                (To::Full(4096), 4096),
                (To::Full(49_152), 49_152),
            ] {
                if matches!(to, To::Full(_)) && !HOLDS_MUCH {
                    continue;
                }
                let error = match to {
                    To::Broken => ErrorKind::BrokenPipe,
                    _ => ErrorKind::WouldBlock,
                };
                let what = format!("{shape} of {kind}, room for {room}");
                let [ours, stds, ours_by_std, stds_by_us] = outcomes(shape, kind, &content, to);
                assert_eq!(ours.answer, Err(error), "{what}");
                assert_eq!(ours, ours_by_std, "{what}");
                assert_eq!(stds_by_us, stds, "{what}");

                // A limit and a writer's buffer hide the type from std's copy, which then copies
                // std's own types in another way than ours. In both cases the bytes of a
                // `BufReader` come first.
                let is_buffered = shape.starts_with("BufReader");
                if is_buffered && room <= 4096 {
                    assert_eq!(ours, stds, "{what}");
                }
                // All bytes that were read are in the writer's buffer.
                if shape == "BufWriter" {
                    let all = [b"head", &content[..]].concat();
                    assert!(ours.all() == all, "{what}: {ours:?}");
                    assert!(stds.all() == all, "{what}: {stds:?}");
                }
                // None of the bytes of this `BufReader` were written.
                if is_buffered && room == 0 {
                    let head: &[u8] = if ours.held.is_empty() { b"" } else { b"head" };
                    let all = [head, &content[3..]].concat();
                    assert!(ours.all() == all, "{what}: {ours:?}");
                }
                // A limit counts the bytes that were taken.
                if shape == "Take" {
                    assert_eq!(ours.limit.unwrap() + 30_000, ours.rest.len() as u64, "{what}");
                }
            }
        }
    }
}

#[test]
fn wrappers_go_on_after_an_error_as_by_std() {
    let content = bytes(LONG);
    let open = || file(&content);
    let [ours, stds] = [true, false].map(|ours| {
        let mut limited = open().take(LONG as u64);
        // A larger buffer never fits into the sink, and std's copy begins with it again each time.
        let mut buffered = BufReader::with_capacity(4096, open());
        buffered.read_exact(&mut [0; 3]).unwrap();
        let mut both = BufReader::with_capacity(100_000, open());
        both.read_exact(&mut [0; 3]).unwrap();
        let mut both = both.take(LONG as u64);
        let taken = [
            pieces("Take", |mut to| copy_by(ours, &mut limited, &mut to)),
            pieces("BufReader", |mut to| copy_by(ours, &mut buffered, &mut to)),
            pieces("Take<BufReader>", |mut to| copy_by(ours, &mut both, &mut to)),
        ];
        assert_eq!(buffered.buffer(), b"");
        assert_eq!(limited.into_inner().stream_position().unwrap(), LONG as u64);
        (taken, both.limit())
    });
    assert!(ours == stds);
}

#[test]
fn references_and_the_adapter_are_known_as_what_they_hold() {
    let content = bytes(LONG);
    let (to, received) = sink("unix");
    let from = TcpStream::from(source("tcp", &content));
    let to = UnixStream::from(to);
    assert_eq!(copy(&mut &from, &mut &to).unwrap(), LONG as u64);
    drop(to);
    assert!(received() == content);

    let mut child =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let received = drain(child.stdout.take().unwrap());
    let mut stdin = NoSigpipe::new(child.stdin.take().unwrap()).unwrap();
    let mut from =
        BufReader::new(NoSigpipe::new(std::net::TcpStream::from(source("tcp", &content))).unwrap());
    assert_eq!(copy(&mut from, &mut stdin).unwrap(), LONG as u64);
    drop(stdin);
    assert!(received.join().unwrap() == content);
    child.wait().unwrap();
}

#[test]
fn unknown_types_and_dyn_go_stds_way() {
    struct Ours(UnixStream);
    impl Read for Ours {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buf)?;
            buf[..read].iter_mut().for_each(|byte| *byte ^= 1);
            Ok(read)
        }
    }
    let content = bytes(100_000);
    let mut changed = Vec::new();
    let from = UnixStream::from(source("unix", &content));
    assert_eq!(copy(&mut Ours(from), &mut changed).unwrap(), 100_000);
    assert!(changed.iter().zip(&content).all(|(new, old)| new ^ 1 == *old));

    let mut copied = Vec::new();
    let mut from = UnixStream::from(source("unix", &content));
    copy(&mut from as &mut dyn Read, &mut copied as &mut dyn Write).unwrap();
    assert!(copied == content);
}

// ------------------------------------------------------------- errors, and what they leave ----

/// Copies repeatedly into a sink that takes little and does not block. After each stop it reads
/// what the sink has taken. Returns all of that.
fn pieces(what: &str, mut copy_some: impl FnMut(&UnixStream) -> io::Result<u64>) -> Vec<u8> {
    let (to, mut theirs) = unix();
    SockRef::from(&to).set_send_buffer_size(8192).unwrap();
    to.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let to = UnixStream::from(to);
    let mut arrived = Vec::new();
    let mut stops = 0;
    while let Err(error) = copy_some(&to) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{what}: {error}");
        stops += 1;
        let nothing_more = theirs.read_to_end(&mut arrived).unwrap_err();
        assert_eq!(nothing_more.kind(), ErrorKind::WouldBlock, "{what}");
    }
    drop(to);
    theirs.read_to_end(&mut arrived).unwrap();
    assert!(stops > 0, "{what}: the copy never stopped");
    arrived
}

/// The same. No byte may be lost or doubled.
fn in_pieces(what: &str, content: &[u8], copy_some: impl FnMut(&UnixStream) -> io::Result<u64>) {
    same_bytes(what, &pieces(what, copy_some), content);
}

/// The same for a source whose bytes must be taken out: the copy waits for the sink, so another
/// thread reads. Returns the number of stops.
fn in_pieces_that_wait(
    what: &str,
    content: &[u8],
    mut copy_some: impl FnMut(&UnixStream) -> io::Result<u64>,
) -> usize {
    let (to, theirs) = unix();
    SockRef::from(&to).set_send_buffer_size(8192).unwrap();
    to.set_nonblocking(true).unwrap();
    let to = UnixStream::from(to);
    let reader = drain(theirs);
    let mut stops = 0;
    while let Err(error) = copy_some(&to) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{what}: {error}");
        stops += 1;
        wait_writable(to.as_raw_fd());
    }
    drop(to);
    same_bytes(what, &reader.join().unwrap(), content);
    stops
}

fn same_bytes(what: &str, arrived: &[u8], content: &[u8]) {
    assert_eq!(arrived.len(), content.len(), "{what}");
    assert!(arrived == content, "{what}: other bytes arrived");
}

#[test]
fn a_sink_that_would_block_costs_no_byte() {
    let content = bytes(LONG);
    let open = |kind| source(kind, &content);
    let mut from = epipe::io::PipeReader::from(open("pipe"));
    in_pieces("pipe", &content, |mut to| copy(&mut from, &mut to));
    let mut from = File::from(open("file"));
    in_pieces("file", &content, |mut to| copy(&mut from, &mut to));
    let mut from = File::from(open("pipe"));
    in_pieces("a pipe as File", &content, |mut to| copy(&mut from, &mut to));
}

#[test]
fn a_sink_that_would_block_is_waited_for_where_bytes_would_be_lost() {
    let content = bytes(LONG);
    let open = |kind| source(kind, &content);
    let mut stops = 0;
    let mut from = TcpStream::from(open("tcp"));
    stops += in_pieces_that_wait("TCP", &content, |mut to| copy(&mut from, &mut to));
    let mut from = UnixStream::from(open("unix"));
    stops += in_pieces_that_wait("Unix", &content, |mut to| copy(&mut from, &mut to));
    let mut from = File::from(open("tcp"));
    stops += in_pieces_that_wait("TCP as File", &content, |mut to| copy(&mut from, &mut to));
    // A quick reader may spare one of these copies every stop, but not all of them.
    assert!(stops > 0, "none of them ever stopped");
}

#[test]
fn a_buf_writer_that_would_block_costs_no_byte() {
    let content = bytes(LONG);
    for kind in ["pipe", "file"] {
        let mut from = File::from(source(kind, &content));
        // Each stop needs a new writer. It begins with what the last one could not write.
        let mut held = Vec::new();
        in_pieces(kind, &content, |to| {
            let mut writer = BufWriter::with_capacity(20_000, to);
            let mut answer = writer.write_all(&std::mem::take(&mut held)).map(|()| 0);
            if answer.is_ok() {
                answer = copy(&mut from, &mut writer);
            }
            if answer.is_ok() {
                answer = writer.flush().map(|()| 0);
            }
            held = writer.into_parts().1.unwrap();
            answer
        });
    }
}

#[test]
fn a_file_is_put_back_to_what_was_not_written() {
    let content = bytes(LONG);
    let mut from = file(&content);
    let (to, theirs) = unix();
    to.set_nonblocking(true).unwrap();
    let mut to = UnixStream::from(to);
    let error = copy(&mut from, &mut to).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let position = from.stream_position().unwrap();
    assert!(position > 0);
    drop(to);
    assert!(drain(theirs).join().unwrap() == content[..position as usize]);

    let (to, theirs) = unix();
    drop(theirs);
    let error = copy(&mut from, &mut UnixStream::from(to)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(from.stream_position().unwrap(), position);
}

#[test]
fn a_source_that_would_block_loses_nothing() {
    let (mut theirs, ours) = unix();
    ours.set_nonblocking(true).unwrap();
    let mut from = UnixStream::from(ours);
    let (to, received) = sink("unix");
    let mut to = UnixStream::from(to);
    for piece in [&b"one"[..], b"two", b"three"] {
        theirs.write_all(piece).unwrap();
        let error = copy(&mut from, &mut to).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    drop(theirs);
    assert_eq!(copy(&mut from, &mut to).unwrap(), 0);
    drop(to);
    assert_eq!(received(), b"onetwothree");
}

#[test]
fn a_write_timeout_ends_the_copy() {
    let content = bytes(LONG);
    for kind in ["tcp", "unix", "pipe", "file"] {
        let (to, _theirs) = unix();
        to.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut to = UnixStream::from(to);
        let from = source(kind, &content);
        let answer = copy_from(kind, from, &mut to);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::WouldBlock, "{kind}");
    }
}

#[test]
fn a_vanished_sink_is_an_error_on_every_way() {
    let content = bytes(LONG);
    for kind in ["tcp", "unix", "pipe", "file"] {
        for to in ["unix", "pipe"] {
            let from = source(kind, &content);
            let broken: OwnedFd = match to {
                "unix" => unix().0.into(),
                _ => io::pipe().unwrap().1.into(),
            };
            let answer = match to {
                "unix" => copy_from(kind, from, &mut UnixStream::from(broken)),
                _ => copy_from(kind, from, &mut epipe::io::PipeWriter::from(broken)),
            };
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::BrokenPipe, "{kind} -> {to}");
        }
    }
}

#[test]
fn signals_do_not_end_it() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the action is valid. Its handler has no SA_RESTART, so that calls return EINTR, and
    // does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    let content = bytes(LONG);
    // SAFETY: pthread_self has no precondition.
    let copying = unsafe { libc::pthread_self() } as usize; // a pointer on some systems
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the scope's thread waits for this one.
                unsafe { libc::pthread_kill(copying as libc::pthread_t, libc::SIGUSR1) };
                thread::yield_now();
            }
        });
        // A failure must stop the other thread first.
        let check = |what: &str, copied: io::Result<u64>, received: Vec<u8>| {
            let arrived = copied.as_ref().is_ok_and(|&copied| copied == LONG as u64);
            if !arrived || received != content {
                done.store(true, Ordering::Relaxed);
                panic!("{what}: {copied:?}, {} bytes arrived", received.len());
            }
        };
        let waits_often = || {
            let (to, received) = sink("unix");
            SockRef::from(&to).set_send_buffer_size(8192).unwrap();
            (UnixStream::from(to), received)
        };
        for kind in ["tcp", "unix", "pipe", "file"] {
            let (mut to, received) = waits_often();
            let copied = copy_from(kind, source(kind, &content), &mut to);
            drop(to);
            check(kind, copied, received());
        }

        let (to, received) = waits_often();
        let sent = to.sendfile(&file(&content), ..);
        drop(to);
        check("sendfile", sent, received());

        // From a slow source, so that reads are also interrupted.
        for kind in ["file", "pipe", "unix"] {
            let (mut theirs, from) = tcp();
            let slow = content.clone();
            thread::spawn(move || {
                for piece in slow.chunks(64 << 10) {
                    theirs.write_all(piece).unwrap();
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let (to, received) = sink(kind);
            let mut from = TcpStream::from(from);
            let copied = match kind {
                "file" => copy(&mut from, &mut File::from(to)),
                "pipe" => copy(&mut from, &mut epipe::io::PipeWriter::from(to)),
                _ => copy(&mut from, &mut UnixStream::from(to)),
            };
            check(kind, copied, received());
        }
        done.store(true, Ordering::Relaxed);
    });
}

// -------------------------------------------------------------------------- odd descriptors ----

#[test]
fn files_that_grow_and_shrink_are_copied_as_far_as_they_go() {
    for shrink in [false, true] {
        let from = file(&bytes(200_000));
        let other = from.try_clone().unwrap();
        let (mut theirs, to) = io::pipe().unwrap();
        let copying = thread::spawn(move || {
            copy(&mut { from }, &mut epipe::io::PipeWriter::from(to)).unwrap()
        });
        // The copy has begun, and cannot end before the pipe is read.
        let mut first = [0; 1];
        theirs.read_exact(&mut first).unwrap();
        let now = if shrink { 150_000 } else { 300_000 };
        other.set_len(now).unwrap();
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).unwrap();
        assert_eq!(copying.join().unwrap(), now);
        assert_eq!(rest.len() as u64 + 1, now);
    }
}

#[test]
fn a_file_that_appends_is_appended_to() {
    for kind in ["tcp", "pipe", "file"] {
        let content = bytes(100_000);
        let to = file(b"head");
        append(&to);
        let from = source(kind, &content);
        let copied = copy_from(kind, from, &mut &to);
        assert_eq!(copied.unwrap(), 100_000, "{kind}");
        assert!(whole(&to) == [b"head", &content[..]].concat(), "{kind}");
    }
}

#[test]
fn a_splice_that_is_refused_midway_loses_and_doubles_nothing() {
    let content = bytes(100_000);
    for limit in [None, Some(60_000), Some(200_000)] {
        let (from, mut theirs) = io::pipe().unwrap();
        let to = file(b"");
        let other = to.try_clone().unwrap();
        let copying = thread::spawn(move || {
            let mut from = epipe::io::PipeReader::from(from);
            let Some(limit) = limit else {
                return copy(&mut from, &mut { to }).unwrap();
            };
            let mut from = from.take(limit);
            let copied = copy(&mut from, &mut { to }).unwrap();
            assert_eq!(from.limit(), limit - copied);
            copied
        });
        let (first, rest) = content.split_at(1000);
        theirs.write_all(first).unwrap();
        while other.metadata().unwrap().len() < 1000 {
            thread::yield_now();
        }
        append(&other); // Linux splices nothing into such a file
        fill(theirs, rest);
        let limit = limit.map_or(content.len(), |limit| limit as usize);
        let expected = &content[..content.len().min(limit)];
        assert_eq!(copying.join().unwrap(), expected.len() as u64);
        assert!(whole(&other) == expected);
    }
}

/// From here on, every write goes to the end of the file.
fn append(file: &File) {
    set_flags(file.as_raw_fd(), libc::O_APPEND);
}

fn set_flags(fd: RawFd, flags: libc::c_int) {
    // SAFETY: the command takes flags.
    let answer = unsafe { libc::fcntl(fd, libc::F_SETFL, flags) };
    assert_eq!(answer, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_seems_empty_is_read() {
    let content = std::fs::read("/proc/self/status").unwrap();
    let (to, received) = sink("tcp");
    let mut from = File::open("/proc/self/status").unwrap();
    assert_eq!(from.metadata().unwrap().len(), 0);
    let copied = copy(&mut from, &mut TcpStream::from(to)).unwrap();
    assert!(copied > 0);
    assert_eq!(received()[..10], content[..10]);
}

#[cfg(target_os = "linux")]
#[test]
fn messages_keep_their_borders() {
    use socket2::{Domain, Socket, Type};

    let long = bytes(100_000);
    for ty in [Type::DGRAM, Type::SEQPACKET] {
        let (theirs, from) = Socket::pair(Domain::UNIX, ty, None).unwrap();
        let (to, mut out) = Socket::pair(Domain::UNIX, ty, None).unwrap();
        // std's buffer takes one message of 8 KiB.
        let messages = [&b"one"[..], &long[..8000], b"three", b""];
        for message in messages {
            theirs.send(message).unwrap();
        }
        let copied = match ty {
            Type::DGRAM => {
                copy(&mut epipe::socket2::Socket::from(from), &mut epipe::socket2::Socket::from(to))
            }
            // Message sockets that were adopted as streams.
            _ => copy(
                &mut UnixStream::from(OwnedFd::from(from)),
                &mut UnixStream::from(OwnedFd::from(to)),
            ),
        };
        assert_eq!(copied.unwrap(), 8008);
        let mut buffer = vec![0; 100_000];
        for message in &messages[..3] {
            assert_eq!(out.read(&mut buffer).unwrap(), message.len());
        }
    }

    // A long message stays one message, even if both sockets were adopted as streams.
    let (theirs, from) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let (to, mut out) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    theirs.send(&long).unwrap();
    drop(theirs);
    let mut from = UnixStream::from(OwnedFd::from(from));
    let mut to = UnixStream::from(OwnedFd::from(to));
    assert_eq!(copy(&mut from, &mut to).unwrap(), 100_000);
    assert_eq!(out.read(&mut vec![0; 200_000]).unwrap(), 100_000);

    // Data that is sent as datagrams is cut as std cuts it.
    let (to, mut out) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
    let mut from = epipe::io::PipeReader::from(source("pipe", &long[..20_000]));
    assert_eq!(copy(&mut from, &mut epipe::socket2::Socket::from(to)).unwrap(), 20_000);
    assert!(out.read(&mut vec![0; 200_000]).unwrap() <= 8192);
}

/// SO_PEEK_OFF belongs to the owner of the socket: a peek would use it, and move it.
#[cfg(target_os = "linux")]
#[test]
fn a_peek_offset_is_not_obeyed_and_not_moved() {
    for (source, peek_offset) in [("unix", 0), ("unix", 100), ("tcp", 100)] {
        for to_kind in ["pipe", "unix", "file"] {
            let what = format!("{source} with {peek_offset} -> {to_kind}");
            let from = self::source(source, b"a few bytes");
            let (level, name) = (libc::SOL_SOCKET, libc::SO_PEEK_OFF);
            // SAFETY: the option's value is an int, and valid for the calls.
            let (set, offset) = unsafe {
                let (fd, mut offset, mut len) = (from.as_raw_fd(), peek_offset, 4);
                let value = (&raw mut offset).cast();
                let set = libc::setsockopt(fd, level, name, value, len);
                let watched = from.try_clone().unwrap();
                let (to, received) = sink(to_kind);
                let copied = match to_kind {
                    "pipe" => copy_from(source, from, &mut epipe::io::PipeWriter::from(to)),
                    "unix" => copy_from(source, from, &mut UnixStream::from(to)),
                    _ => copy_from(source, from, &mut File::from(to)),
                };
                assert_eq!(copied.unwrap(), 11, "{what}");
                assert_eq!(received(), b"a few bytes", "{what}");
                libc::getsockopt(watched.as_raw_fd(), level, name, value, &mut len);
                (set, offset)
            };
            // TCP has the option since Linux 6.9.
            if set == 0 {
                // A read lowers the offset by the count of bytes that it took (socket(7)).
                assert!(offset == (peek_offset - 11).max(0), "{what}: {offset}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_urgent_byte_does_not_end_the_copy() {
    for to_pipe in [false, true] {
        let (theirs, from) = tcp();
        (&theirs).write_all(b"before").unwrap();
        SockRef::from(&theirs).send_out_of_band(b"!").unwrap();
        (&theirs).write_all(b"after").unwrap();
        drop(theirs);
        let (to, received) = sink(if to_pipe { "pipe" } else { "tcp" });
        let mut from = TcpStream::from(from);
        let copied = match to_pipe {
            true => copy(&mut from, &mut epipe::io::PipeWriter::from(to)),
            false => copy(&mut from, &mut TcpStream::from(to)),
        };
        assert_eq!(copied.unwrap(), 11, "{to_pipe}");
        assert_eq!(received(), b"beforeafter");
    }
}

#[test]
fn what_has_arrived_in_a_pipe_can_be_read_while_the_copy_waits_for_more() {
    for kind in ["tcp", "unix"] {
        let (mut theirs, from): (Box<dyn Write>, OwnedFd) = match kind {
            "tcp" => {
                let (theirs, from) = tcp();
                (Box::new(theirs), from.into())
            }
            _ => {
                let (theirs, from) = unix();
                (Box::new(theirs), from.into())
            }
        };
        let (mut reader, to) = epipe::io::pipe().unwrap();
        let copying =
            thread::spawn(move || copy(&mut UnixStream::from(from), &mut { to }).unwrap());
        // The next request is sent only after this one was read.
        for request in [b"one", b"two"] {
            theirs.write_all(request).unwrap();
            let mut arrived = [0; 3];
            reader.read_exact(&mut arrived).unwrap();
            assert_eq!(&arrived, request);
        }
        drop(theirs);
        assert_eq!(copying.join().unwrap(), 6);
    }
}

#[test]
fn an_echo_copies_a_socket_into_itself() {
    let content = bytes(LONG);
    let (ours, theirs) = tcp();
    let echo = thread::spawn(move || {
        let ours = TcpStream::from(ours);
        copy(&mut &ours, &mut &ours).unwrap()
    });
    fill(theirs.try_clone().unwrap(), &content);
    let mut arrived = vec![0; LONG];
    (&theirs).read_exact(&mut arrived).unwrap();
    assert!(arrived == content);
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(echo.join().unwrap(), LONG as u64);
}

// ------------------------------------------------------------ files that change, and sendfile ----

/// Sends a file, then changes it. Returns what arrives.
fn changed_after(send: impl FnOnce(&mut TcpStream, &mut File)) -> Vec<u8> {
    let (ours, theirs) = tcp();
    let mut file = file(&[b'o'; 20_000]);
    let mut ours = TcpStream::from(ours);
    send(&mut ours, &mut file);
    file.rewind().unwrap();
    file.write_all(&[b'n'; 20_000]).unwrap();
    drop(ours);
    drain(theirs).join().unwrap()
}

#[test]
fn a_file_may_be_changed_after_the_copy_but_not_after_sendfile() {
    let arrived = changed_after(|to, file| assert_eq!(copy(file, to).unwrap(), 20_000));
    assert!(arrived == [b'o'; 20_000]);

    // This is why it may not, and why `copy` makes a copy.
    let arrived = changed_after(|to, file| assert_eq!(to.sendfile(file, ..).unwrap(), 20_000));
    assert_eq!(arrived.len(), 20_000);
    #[cfg(target_os = "linux")]
    assert!(arrived.contains(&b'n'), "the kernel made a copy, so `copy` could use sendfile");
}

#[test]
fn sendfile_sends_the_range_and_leaves_the_position() {
    let content = bytes(LONG);
    let mut file = file(&content);
    file.seek(SeekFrom::Start(77)).unwrap();
    let len = LONG as u64;
    let send = |range: &dyn Fn(&UnixStream) -> io::Result<u64>, expected: &[u8]| {
        let (to, received) = sink("unix");
        let sent = range(&UnixStream::from(to)).unwrap();
        assert_eq!(sent, expected.len() as u64);
        assert!(received() == expected);
    };
    send(&|to| to.sendfile(&file, ..), &content);
    send(&|to| to.sendfile(&file, 5..), &content[5..]);
    send(&|to| to.sendfile(&file, ..5), &content[..5]);
    send(&|to| to.sendfile(&file, 5..=9), &content[5..=9]);
    send(&|to| to.sendfile(&file, 100..len + 100), &content[100..]);
    send(&|to| to.sendfile(&file, 7..7), b"");
    #[allow(clippy::reversed_empty_ranges)]
    send(&|to| to.sendfile(&file, 9..7), b"");
    send(&|to| to.sendfile(&file, len..), b"");
    send(&|to| to.sendfile(&file, len + 5..), b"");
    let after_five = (std::ops::Bound::Excluded(5), std::ops::Bound::Unbounded);
    send(&|to| to.sendfile(&file, after_five), &content[6..]);
    assert_eq!(file.stream_position().unwrap(), 77);

    let (to, received) = sink("tcp");
    assert_eq!(TcpStream::from(to).sendfile(&file, 3..LONG as u64).unwrap(), len - 3);
    assert!(received() == content[3..]);
}

#[test]
fn sendfile_goes_on_where_a_stream_would_block() {
    let content = bytes(LONG);
    let from = file(&content);
    let mut at = 0;
    in_pieces("sendfile", &content, |to| {
        let sent = to.sendfile(&from, at..)?;
        at += sent;
        match at == LONG as u64 {
            true => Ok(at),
            false => Err(ErrorKind::WouldBlock.into()),
        }
    });
}

#[test]
fn sendfile_into_a_full_stream_is_no_end_of_the_file() {
    let (to, _theirs) = unix();
    to.set_nonblocking(true).unwrap();
    let mut to = UnixStream::from(to);
    while to.write(&[0; 4096]).is_ok() {}
    // Up to Linux 6.4 a file's pages are added to the last message, even above the buffer's limit.
    let from = file(&bytes(1000));
    let error = (0..1000).find_map(|_| match to.sendfile(&from, ..) {
        Ok(sent) => {
            assert_ne!(sent, 0);
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!(error.unwrap().kind(), ErrorKind::WouldBlock);
}

#[test]
fn sendfile_reports_a_vanished_peer_and_a_descriptor_that_is_no_file() {
    let content = file(&bytes(1000));
    let broken = UnixStream::from(unix().0);
    assert_eq!(broken.sendfile(&content, ..).unwrap_err().kind(), ErrorKind::BrokenPipe);

    let (to, _theirs) = unix();
    let to = UnixStream::from(to);
    let directory = File::open("/").unwrap();
    assert_eq!(to.sendfile(&directory, ..).unwrap_err().kind(), ErrorKind::IsADirectory);
    let (pipe, _writer) = io::pipe().unwrap();
    let pipe = File::from(OwnedFd::from(pipe));
    assert_eq!(to.sendfile(&pipe, ..).unwrap_err().kind(), ErrorKind::NotSeekable);
    for start in [i64::MAX as u64 + 1, u64::MAX - 5] {
        let error = to.sendfile(&content, start..).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EOVERFLOW), "{start}");
        assert_eq!(to.sendfile(&content, start..start).unwrap(), 0);
    }
}
