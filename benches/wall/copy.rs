//! Whole copies of 64 MiB. Other threads feed the source and read from the destination.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use criterion::Criterion;
use epipe_benches::tcp;

use crate::table::{COPIES, Clock, Ratio, Table};

pub const LEN: u64 = 64 << 20;

enum Kind {
    File,
    Tcp,
    Unix,
    Pipe,
}

/// A type that can be an end of a copy.
trait End: From<OwnedFd> {
    const KIND: Kind;
}

macro_rules! ends {
    ($($kind:ident: $type:ty,)+) => { $(
        impl End for $type {
            const KIND: Kind = Kind::$kind;
        }
    )+ };
}

ends! {
    File: File,
    Tcp: TcpStream,
    Tcp: epipe::net::TcpStream,
    Unix: UnixStream,
    Unix: epipe::os::unix::net::UnixStream,
    Pipe: io::PipeReader,
    Pipe: io::PipeWriter,
    Pipe: epipe::io::PipeReader,
    Pipe: epipe::io::PipeWriter,
}

/// A directory with the file that is copied and the file that is written.
struct Files(PathBuf);

impl Files {
    fn new() -> Files {
        let directory = std::env::temp_dir().join(format!("epipe-wall-{}", process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let files = Files(directory);
        let mut source = File::create(files.source()).unwrap();
        io::copy(&mut io::repeat(b'x').take(LEN), &mut source).unwrap();
        files
    }

    fn source(&self) -> PathBuf {
        self.0.join("source")
    }

    fn sink(&self) -> PathBuf {
        self.0.join("sink")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Reads the file once, so that the page cache has it.
fn warm(path: &Path) {
    let mut space = vec![0; 1 << 20];
    let mut file = File::open(path).unwrap();
    while file.read(&mut space).unwrap() > 0 {}
}

/// Writes `len` bytes in lines of 64, and closes.
pub fn feed(mut writer: impl Write + Send + 'static, len: u64) -> JoinHandle<u64> {
    thread::spawn(move || {
        let mut data = vec![b'x'; 1 << 20];
        for line in data.chunks_mut(64) {
            line[63] = b'\n';
        }
        let mut left = len;
        while left > 0 {
            let part = &data[..data.len().min(usize::try_from(left).unwrap())];
            writer.write_all(part).unwrap();
            left -= part.len() as u64;
        }
        len
    })
}

/// Reads to the end.
fn sink(mut reader: impl Read + Send + 'static) -> JoinHandle<u64> {
    thread::spawn(move || {
        let mut space = vec![0; 1 << 20];
        let mut all = 0;
        loop {
            match reader.read(&mut space).unwrap() {
                0 => return all,
                read => all += read as u64,
            }
        }
    })
}

/// The source of a copy, and the thread that feeds it.
fn from<R: End>(files: &Files) -> (R, Option<JoinHandle<u64>>) {
    match R::KIND {
        Kind::File => {
            warm(&files.source());
            let file = File::open(files.source()).unwrap();
            (OwnedFd::from(file).into(), None)
        }
        Kind::Tcp => {
            let (reader, writer) = tcp();
            (OwnedFd::from(reader).into(), Some(feed(writer, LEN)))
        }
        Kind::Unix => {
            let (reader, writer) = UnixStream::pair().unwrap();
            (OwnedFd::from(reader).into(), Some(feed(writer, LEN)))
        }
        Kind::Pipe => {
            let (reader, writer) = io::pipe().unwrap();
            (OwnedFd::from(reader).into(), Some(feed(writer, LEN)))
        }
    }
}

/// The destination of a copy, and the thread that reads from it.
fn to<W: End>(files: &Files) -> (W, Option<JoinHandle<u64>>) {
    match W::KIND {
        Kind::File => {
            // A new file each time. The old one is removed, so that the system need not write it to
            // the disk.
            let _ = std::fs::remove_file(files.sink());
            let file = File::create(files.sink()).unwrap();
            (OwnedFd::from(file).into(), None)
        }
        Kind::Tcp => {
            let (reader, writer) = tcp();
            (OwnedFd::from(writer).into(), Some(sink(reader)))
        }
        Kind::Unix => {
            let (reader, writer) = UnixStream::pair().unwrap();
            (OwnedFd::from(writer).into(), Some(sink(reader)))
        }
        Kind::Pipe => {
            let (reader, writer) = io::pipe().unwrap();
            (OwnedFd::from(writer).into(), Some(sink(reader)))
        }
    }
}

/// Times one copy.
fn run<R: End, W: End>(
    files: &Files,
    clock: Clock,
    copy: impl FnOnce(&mut R, &mut W) -> io::Result<u64>,
) -> Duration {
    let (mut writer, emptied) = to::<W>(files);
    let (mut reader, filled) = from::<R>(files);
    let mut copied = 0;
    let time = clock.time(|| copied = copy(&mut reader, &mut writer).unwrap());
    assert_eq!(copied, LEN);
    drop(writer);
    for thread in emptied.into_iter().chain(filled) {
        assert_eq!(thread.join().unwrap(), LEN);
    }
    time
}

/// `epipe::io::copy` between two types against `std::io::copy` between two others.
fn copies<R, W, PR, PW>(table: &mut Table<'_>, files: &Files, what: &str)
where
    R: End + Read,
    W: End + Write,
    PR: End + Read,
    PW: End + Write,
{
    table.row(
        &format!("{what} against std io::copy"),
        |clock| run::<R, W>(files, clock, epipe::io::copy),
        |clock| run::<PR, PW>(files, clock, io::copy),
    );
}

/// `std::io::copy` against itself.
fn aa<R: End + Read, W: End + Write>(table: &mut Table<'_>, files: &Files, what: &str) {
    table.row(
        &format!("A/A: {what} against itself"),
        |clock| run::<R, W>(files, clock, io::copy),
        |clock| run::<R, W>(files, clock, io::copy),
    );
}

pub fn copy(criterion: &mut Criterion<Ratio>) {
    use epipe::io::{PipeReader, PipeWriter};
    use epipe::net::TcpStream as Tcp;
    use epipe::os::unix::net::UnixStream as Unix;

    let mut table = Table::new(criterion, "copy", COPIES);
    let table = &mut table;
    let files = &Files::new();
    aa::<File, TcpStream>(table, files, "file → TCP");
    copies::<File, Tcp, File, TcpStream>(table, files, "file → TCP");
    copies::<File, Unix, File, UnixStream>(table, files, "file → Unix");
    table.row(
        "file → TCP by sendfile against std io::copy",
        |clock| run::<File, Tcp>(files, clock, send),
        |clock| run::<File, TcpStream>(files, clock, io::copy),
    );
    aa::<TcpStream, TcpStream>(table, files, "TCP → TCP");
    copies::<Tcp, Tcp, TcpStream, TcpStream>(table, files, "TCP → TCP");
    table.row(
        "TCP → TCP against tokio io::copy",
        |clock| run::<Tcp, Tcp>(files, clock, epipe::io::copy),
        |clock| run::<TcpStream, TcpStream>(files, clock, tokio_copy),
    );
    copies::<Unix, Unix, UnixStream, UnixStream>(table, files, "Unix → Unix");
    aa::<io::PipeReader, TcpStream>(table, files, "pipe → TCP");
    copies::<PipeReader, Tcp, io::PipeReader, TcpStream>(table, files, "pipe → TCP");
    copies::<Tcp, PipeWriter, TcpStream, io::PipeWriter>(table, files, "TCP → pipe");
    copies::<File, File, File, File>(table, files, "file → file");
    copies::<Tcp, File, TcpStream, File>(table, files, "TCP → file");
}

/// Sends the whole file by `sendfile`, which may send less than it is asked for.
fn send(from: &mut File, to: &mut epipe::net::TcpStream) -> io::Result<u64> {
    let mut sent = 0;
    while sent < LEN {
        sent += to.sendfile(from, sent..LEN)?;
    }
    Ok(sent)
}

/// tokio's copy. The time includes the start of the runtime and the registration of the sockets:
/// microseconds, beside 64 MiB.
fn tokio_copy(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<u64> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let [mut from, mut to] = [from, to].map(|std| {
            std.set_nonblocking(true).unwrap();
            tokio::net::TcpStream::from_std(std.try_clone().unwrap()).unwrap()
        });
        tokio::io::copy(&mut from, &mut to).await
    })
}
