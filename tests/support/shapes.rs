//! 24 shapes of calls in code that does not use epipe. They must compile in a crate that links it.
//!
//! An impl of a foreign trait counts in every crate that links it, also through another crate.
//! `impl<T> Read for &Wrapper<T> where for<'a> &'a T: Read` sends the compiler in search of
//! `&Wrapper<Wrapper<…>>` wherever it meets `&T: Read` before it knows `T`: E0275.
//! While epipe had that impl, 20 of these did not compile (rustc 1.87 and 1.95).
//! The same impl of `Write` breaks 9 of them, that of `Seek` one. Without epipe all compile.
//!
//! The types are left to inference on purpose, and this file uses no name of epipe.

use std::collections::HashMap;
use std::env;
use std::ffi::CString;
use std::fs::File;
use std::io::{
    self, BufRead, BufReader, BufWriter, ErrorKind, LineWriter, Read, Seek, SeekFrom, Write,
};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// A file that is not empty.
fn file() -> File {
    File::open(env::current_exe().unwrap()).unwrap()
}

fn say(stream: &TcpStream, byte: u8) {
    (&mut &*stream).write_all(&[byte]).unwrap();
}

fn hear(stream: &TcpStream) -> u8 {
    let mut byte = [0];
    (&mut &*stream).read_exact(&mut byte).unwrap();
    byte[0]
}

/// Sends back the byte it reads.
fn echo<T>(stream: &T)
where
    for<'a> &'a T: Read + Write,
{
    let mut byte = [0];
    (&mut &*stream).read_exact(&mut byte).unwrap();
    (&mut &*stream).write_all(&byte).unwrap();
}

#[test]
fn a_stream_by_value() {
    fn serve<T>(stream: T)
    where
        for<'a> &'a T: Read + Write,
    {
        echo::<T>(&stream);
    }
    let (ours, peer) = pair();
    say(&peer, 1);
    serve(ours);
    assert_eq!(hear(&peer), 1);

    #[cfg(unix)]
    {
        let (ours, peer) = std::os::unix::net::UnixStream::pair().unwrap();
        (&peer).write_all(&[1]).unwrap();
        serve(ours);
        let mut byte = [0];
        (&peer).read_exact(&mut byte).unwrap();
        assert_eq!(byte, [1]);
    }
}

#[test]
fn a_stream_in_an_arc() {
    fn serve<T>(stream: Arc<T>)
    where
        for<'a> &'a T: Read + Write,
    {
        echo::<T>(&stream);
    }
    let (ours, peer) = pair();
    say(&peer, 2);
    serve(Arc::new(ours));
    assert_eq!(hear(&peer), 2);
}

#[test]
fn a_stream_in_a_box() {
    fn serve<T>(stream: Box<T>)
    where
        for<'a> &'a T: Read + Write,
    {
        echo::<T>(&stream);
    }
    let (ours, peer) = pair();
    say(&peer, 3);
    serve(Box::new(ours));
    assert_eq!(hear(&peer), 3);
}

#[test]
fn a_reference_of_one_lifetime() {
    fn first<'a, T>(mut stream: &'a T) -> u8
    where
        &'a T: Read,
    {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        byte[0]
    }
    let (ours, peer) = pair();
    say(&peer, 4);
    assert_eq!(first(&ours), 4);
}

#[test]
fn a_buffer_around_a_reference() {
    fn line<'a, T>(stream: &'a T) -> String
    where
        &'a T: Read,
        BufReader<&'a T>: BufRead,
    {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    }
    let (ours, peer) = pair();
    (&peer).write_all(b"five\n").unwrap();
    assert_eq!(line(&ours), "five\n");
}

#[test]
fn an_associated_function_of_a_bounded_impl() {
    struct Client<T> {
        stream: T,
    }
    impl<T> Client<T>
    where
        for<'a> &'a T: Read,
    {
        fn new(stream: T) -> io::Result<Client<T>> {
            Ok(Client { stream })
        }

        fn first(&self) -> io::Result<u8> {
            let mut byte = [0];
            (&mut &self.stream).read_exact(&mut byte)?;
            Ok(byte[0])
        }
    }
    let (ours, peer) = pair();
    say(&peer, 6);
    let client = Client::new(ours).unwrap();
    assert_eq!(client.first().unwrap(), 6);
}

#[test]
fn a_type_that_carries_the_bound() {
    enum Source<T>
    where
        for<'a> &'a T: Read,
    {
        Open(T),
        Closed,
    }
    let (ours, peer) = pair();
    say(&peer, 7);
    let mut source = Source::Open(ours);
    if let Source::Open(stream) = &source {
        assert_eq!(hear(stream), 7);
    }
    source = Source::Closed;
    assert!(matches!(source, Source::Closed));
}

#[test]
fn writing_alone() {
    struct Logger<T>(T);
    impl<T> Logger<T>
    where
        for<'a> &'a T: Write,
    {
        fn new(to: T) -> Logger<T> {
            Logger(to)
        }

        fn line(&self, line: &str) -> io::Result<()> {
            writeln!(LineWriter::new(&self.0), "{line}")
        }
    }
    fn flush<T>(to: T) -> io::Result<()>
    where
        for<'a> &'a T: Write,
    {
        (&to).flush()
    }
    let (ours, peer) = pair();
    Logger::new(ours).line("eight").unwrap();
    assert_eq!(io::read_to_string(&peer).unwrap(), "eight\n");
    flush(io::stdout()).unwrap();
    flush(io::sink()).unwrap();
}

#[test]
fn seeking() {
    fn length<T>(file: &T) -> u64
    where
        for<'a> &'a T: Seek,
    {
        (&mut &*file).seek(SeekFrom::End(0)).unwrap()
    }
    fn first<T>(file: T) -> u8
    where
        for<'a> &'a T: Read + Seek,
    {
        let mut byte = [0];
        (&file).rewind().unwrap();
        (&file).read_exact(&mut byte).unwrap();
        byte[0]
    }
    let file = file();
    assert_ne!(length(&file), 0);
    first(file);
}

#[test]
fn a_closure_is_given_the_stream() {
    fn with<T, A>(open: impl FnOnce() -> T, work: impl FnOnce(&T) -> A) -> A
    where
        for<'a> &'a T: Read,
    {
        work(&open())
    }
    let (ours, peer) = pair();
    say(&peer, 10);
    assert_eq!(with(|| ours, |stream| [hear(stream)]), [10]);
}

#[test]
fn a_supertrait() {
    trait Duplex
    where
        for<'a> &'a Self: Read + Write,
    {
        fn name(&self) -> &'static str {
            "duplex"
        }
    }
    impl Duplex for TcpStream {}
    fn serve<T: Duplex>(stream: T) -> &'static str
    where
        for<'a> &'a T: Read + Write,
    {
        echo::<T>(&stream);
        stream.name()
    }
    let (ours, peer) = pair();
    say(&peer, 11);
    assert_eq!(serve(ours), "duplex");
    assert_eq!(hear(&peer), 11);
}

#[test]
fn a_method_for_all_that_can_be_read() {
    trait First {
        fn first(&self) -> u8;
    }
    impl<T> First for T
    where
        for<'a> &'a T: Read,
    {
        fn first(&self) -> u8 {
            let mut byte = [0];
            (&mut &*self).read_exact(&mut byte).unwrap();
            byte[0]
        }
    }
    struct Known<T>(T);
    impl<T> First for Known<T> {
        fn first(&self) -> u8 {
            12
        }
    }
    let (ours, peer) = pair();
    say(&peer, 12);
    say(&peer, 12);
    let ours = Arc::new(ours);
    assert_eq!(ours.first(), 12);
    let all: [&dyn First; 2] = [&*ours, &Known(0)];
    assert!(all.iter().all(|one| one.first() == 12));
}

#[test]
fn a_returned_reader() {
    fn reader<T>(stream: T) -> impl Read
    where
        for<'a> &'a T: Read,
    {
        struct Reader<T>(T);
        impl<T> Read for Reader<T>
        where
            for<'a> &'a T: Read,
        {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                (&self.0).read(buf)
            }
        }
        Reader(stream)
    }
    fn boxed<T: 'static>(stream: T) -> Box<dyn Read>
    where
        for<'a> &'a T: Read,
    {
        Box::new(reader::<T>(stream))
    }
    let (ours, peer) = pair();
    say(&peer, 13);
    let mut readers: Vec<Box<dyn Read>> = vec![boxed(ours), Box::new(reader(file()))];
    let mut byte = [0];
    readers[0].read_exact(&mut byte).unwrap();
    assert_eq!(byte, [13]);
}

#[test]
fn copying_between_references() {
    fn copy<R, W>(from: &R, to: &W, limit: u64) -> io::Result<u64>
    where
        for<'a> &'a R: Read,
        for<'a> &'a W: Write,
    {
        io::copy(&mut (&mut &*from).take(limit), &mut &*to)
    }
    let (ours, peer) = pair();
    say(&peer, 14);
    assert_eq!(copy(&ours, &ours, 1).unwrap(), 1);
    say(&ours, 14);
    assert_eq!(io::copy(&mut (&peer).take(2), &mut &peer).unwrap(), 2);
    assert_eq!(copy(&ours, &io::sink(), 2).unwrap(), 2);
}

#[test]
fn a_reader_around_a_shared_stream() {
    struct Shared<T>(Arc<T>);
    impl<T> Read for Shared<T>
    where
        for<'a> &'a T: Read,
    {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            (&*self.0).read(buf)
        }
    }
    fn first(mut reader: impl Read) -> u8 {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        byte[0]
    }
    fn of_an_arc<T>(reader: T) -> u8
    where
        Arc<T>: Read,
    {
        first(Arc::new(reader))
    }
    let (ours, peer) = pair();
    say(&peer, 15);
    assert_eq!(first(Shared(Arc::new(ours))), 15);
    of_an_arc(file());
}

#[test]
fn both_ends_of_a_pipe() {
    fn pass<R, W>((from, to): (R, W)) -> u8
    where
        for<'a> &'a R: Read,
        for<'a> &'a W: Write,
    {
        let mut byte = [16];
        (&to).write_all(&byte).unwrap();
        (&from).read_exact(&mut byte).unwrap();
        byte[0]
    }
    assert_eq!(pass(io::pipe().unwrap()), 16);
}

#[test]
fn halves_that_share_a_stream() {
    struct Reader<T>(Rc<T>);
    struct Writer<T>(Rc<T>);
    fn split<T>(stream: T) -> (Reader<T>, Writer<T>)
    where
        for<'a> &'a T: Read + Write,
    {
        let stream = Rc::new(stream);
        (Reader(stream.clone()), Writer(stream))
    }
    let (ours, peer) = pair();
    let (reader, writer) = split(ours);
    say(&writer.0, 17);
    say(&peer, hear(&peer));
    assert_eq!(hear(&reader.0), 17);
}

/// The same trait shape as in async-io.
#[test]
fn polling_a_reference() {
    trait AsyncRead {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>>;
    }
    struct Async<T>(T);
    impl<T> AsyncRead for &Async<T>
    where
        for<'a> &'a T: Read,
    {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            match (&self.0).read(buf) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
                answer => Poll::Ready(answer),
            }
        }
    }
    fn poll<S>(stream: S) -> bool
    where
        for<'a> &'a S: AsyncRead,
    {
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut &stream).poll_read(&mut cx, &mut [0]).is_pending()
    }
    let (ours, _peer) = pair();
    ours.set_nonblocking(true).unwrap();
    assert!(poll(Async(ours)));
}

#[test]
fn a_collection_that_grows() {
    struct Peers<K, T> {
        peers: HashMap<K, T>,
    }
    impl<K: Eq + std::hash::Hash, T> Peers<K, T>
    where
        for<'a> &'a T: Read,
    {
        fn new() -> Self {
            let peers = HashMap::new();
            Peers { peers }
        }
    }
    let (ours, peer) = pair();
    let mut all = Peers::new();
    all.peers.insert("a peer", ours);
    say(&peer, 19);
    assert_eq!(hear(&all.peers["a peer"]), 19);
}

#[test]
fn a_slice_of_streams() {
    fn sum<T>(streams: &[T]) -> u8
    where
        for<'a> &'a T: Read,
    {
        let first = |mut stream: &T| {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            byte[0]
        };
        streams.iter().map(first).sum()
    }
    let (ours, peer) = pair();
    say(&ours, 15);
    say(&peer, 5);
    assert_eq!(sum(&[ours, peer]), 20);
}

#[test]
fn a_conversion() {
    struct Parser<T>(T);
    impl<T> From<T> for Parser<T>
    where
        for<'a> &'a T: Read,
    {
        fn from(source: T) -> Self {
            Parser(source)
        }
    }
    let (ours, peer) = pair();
    let parser = Parser::from(ours);
    let other: Parser<_> = peer.into();
    say(&other.0, 21);
    assert_eq!(hear(&parser.0), 21);
}

#[test]
fn the_stream_of_a_trait() {
    trait Transport {
        type Stream;
        fn stream(&self) -> &Self::Stream;
    }
    struct Plain(TcpStream);
    impl Transport for Plain {
        type Stream = TcpStream;
        fn stream(&self) -> &TcpStream {
            &self.0
        }
    }
    fn serve<A>(transport: A)
    where
        A: Transport,
        for<'a> &'a A::Stream: Read + Write,
    {
        echo::<A::Stream>(transport.stream());
    }
    let (ours, peer) = pair();
    say(&peer, 22);
    serve(Plain(ours));
    assert_eq!(hear(&peer), 22);
}

#[test]
fn a_function_as_a_value() {
    fn first<T>(stream: &T) -> u8
    where
        for<'a> &'a T: Read,
    {
        let mut byte = [0];
        (&mut &*stream).read_exact(&mut byte).unwrap();
        byte[0]
    }
    let (ours, peer) = pair();
    say(&peer, 20);
    say(&peer, 3);
    let by_name = first;
    assert_eq!(by_name(&ours) + [&ours].map(first)[0], 23);
}

/// Conversions of a handle and of an error.
#[test]
#[allow(clippy::unnecessary_fallible_conversions, reason = "generic code has them")]
fn conversions_of_std() {
    struct Failure<E>(E);
    impl<E> Failure<E>
    where
        io::Error: From<E>,
    {
        fn new(error: E) -> Failure<E> {
            Failure(error)
        }

        fn error(self) -> io::Error {
            self.0.into()
        }
    }
    fn unbuffered(stream: TcpStream) -> io::Result<TcpStream> {
        Ok(BufWriter::new(stream).into_inner()?)
    }
    let name: io::Result<CString> = CString::new("a\0b").map_err(Into::into);
    assert!(name.is_err());
    let by_name = io::Error::from;
    assert_eq!(by_name(ErrorKind::NotFound).kind(), ErrorKind::NotFound);
    let (ours, _peer) = pair();
    let ours = unbuffered(ours).unwrap();
    #[cfg(not(unix))]
    let _ = &ours;
    let failure = Failure::new(ErrorKind::NotFound);
    assert_eq!(failure.error().kind(), ErrorKind::NotFound);

    #[cfg(unix)]
    {
        use std::os::fd::{AsFd, AsRawFd, OwnedFd};
        use std::os::unix::net::UnixStream;

        struct Handle<T>(T);
        impl<T> Handle<T>
        where
            OwnedFd: From<T>,
            for<'a> &'a T: AsFd,
        {
            fn new(handle: T) -> Handle<T> {
                Handle(handle)
            }

            fn take(self) -> OwnedFd {
                self.0.into()
            }
        }
        let convert = OwnedFd::from;
        let handle = Handle::new(ours).take();
        let stream = TcpStream::from(handle);
        let tried: Result<OwnedFd, _> = stream.try_into();
        let number = tried.as_ref().unwrap().as_fd().as_raw_fd();
        let back: OwnedFd = UnixStream::from(convert(UnixStream::from(tried.unwrap()))).into();
        assert_eq!(back.as_raw_fd(), number);
    }
}
