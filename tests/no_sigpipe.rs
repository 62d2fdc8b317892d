//! `NoSigpipe` apart from the signal: its traits on every system, and what it passes on.

#![allow(missing_docs, reason = "a test")]

use std::fs::File;
use std::io::{PipeWriter, Read, Result, Seek, Stderr, Stdout, StdoutLock, Write};
use std::net::TcpStream;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::ChildStdin;
use std::sync::Arc;

use epipe::{Adopt, AdoptError, Guarded, NoSigpipe};

fn writes<T: Write>() {}
fn reads<T: Read>() {}
fn seeks<T: Seek>() {}
fn crosses_threads<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
fn is_an_error<T: std::error::Error + Send + Sync>() {}
fn adopts<T: Adopt>() {}

#[test]
fn every_system_has_the_same_traits() {
    #[cfg(not(target_os = "wasi"))] // std has no descriptor of a child there
    {
        writes::<NoSigpipe<ChildStdin>>();
        writes::<&NoSigpipe<ChildStdin>>();
        writes::<NoSigpipe<&mut ChildStdin>>();
    }
    writes::<NoSigpipe<PipeWriter>>();
    writes::<NoSigpipe<TcpStream>>();
    writes::<&NoSigpipe<TcpStream>>();
    writes::<NoSigpipe<&TcpStream>>();
    writes::<NoSigpipe<Box<TcpStream>>>();
    writes::<NoSigpipe<File>>();
    writes::<Guarded<Stdout>>();
    writes::<&Guarded<Stderr>>();
    writes::<Guarded<StdoutLock<'static>>>();
    writes::<Guarded<Box<dyn Write>>>();

    reads::<NoSigpipe<TcpStream>>();
    reads::<&NoSigpipe<TcpStream>>();
    reads::<NoSigpipe<File>>();
    seeks::<NoSigpipe<File>>();

    reads::<Guarded<TcpStream>>();
    seeks::<Guarded<File>>();

    adopts::<TcpStream>();
    adopts::<Arc<&mut Box<File>>>();

    crosses_threads::<NoSigpipe<TcpStream>>();
    crosses_threads::<NoSigpipe<ChildStdin>>();
    crosses_threads::<Guarded<Stdout>>();
    is_an_error::<AdoptError<TcpStream>>();
}

#[cfg(any(unix, target_os = "wasi"))]
#[test]
fn bare_descriptors_are_written_to() {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

    fn shows<T: AsFd + AsRawFd>() {}

    writes::<NoSigpipe<OwnedFd>>();
    writes::<&NoSigpipe<OwnedFd>>();
    writes::<NoSigpipe<BorrowedFd<'static>>>();
    writes::<NoSigpipe<Box<OwnedFd>>>();
    writes::<NoSigpipe<Arc<OwnedFd>>>();
    writes::<NoSigpipe<Arc<TcpStream>>>();
    writes::<&NoSigpipe<Arc<TcpStream>>>();
    shows::<NoSigpipe<OwnedFd>>();
    shows::<NoSigpipe<Arc<File>>>();
    let _: fn(NoSigpipe<File>) -> OwnedFd = OwnedFd::from;
    let _: fn(NoSigpipe<File>) -> i32 = NoSigpipe::into_raw_fd;
}

/// A user's own type.
struct Own(Vec<u8>);

impl Write for Own {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_users_own_type_writes() {
    let mut own = Guarded::new(Own(Vec::new()));
    own.write_all(b"one ").unwrap();
    write!(own, "{}", 2).unwrap();
    own.flush().unwrap();
    assert_eq!(own.get_ref().0, b"one 2");
    own.get_mut().0.clear();
    own.write_all(b"three").unwrap();
    assert_eq!(own.into_inner().0, b"three");
}

/// For systems that can connect, and have a directory to write in.
#[cfg(not(target_family = "wasm"))]
mod in_use {
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use epipe::NoSigpipe;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[test]
    fn two_threads_share_one_adapter() {
        let (ours, mut theirs) = pair();
        let ours = NoSigpipe::new(ours).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| (&ours).write_all(&[1; 100_000]).unwrap());
            scope.spawn(|| {
                let mut read = [0; 100_000];
                (&ours).read_exact(&mut read).unwrap();
                assert_eq!(read, [2; 100_000]);
            });
            let mut read = vec![0; 100_000];
            theirs.read_exact(&mut read).unwrap();
            assert_eq!(read, vec![1; 100_000]);
            theirs.write_all(&[2; 100_000]).unwrap();
        });
    }

    #[test]
    fn what_passes_through_is_the_handles_own() {
        let (ours, mut theirs) = pair();
        let debug = format!("NoSigpipe({ours:?})");
        let mut ours = NoSigpipe::new(ours).unwrap();
        assert_eq!(format!("{ours:?}"), debug);
        assert_eq!(ours.write(b"").unwrap(), 0);
        let slices = [b"a", b"b"].map(|slice| std::io::IoSlice::new(slice));
        assert_eq!(ours.write_vectored(&slices).unwrap(), 2);
        assert_eq!(ours.write_vectored(&[]).unwrap(), 0);
        drop(ours.into_inner());
        let mut read = String::new();
        theirs.read_to_string(&mut read).unwrap();
        assert_eq!(read, "ab");
    }

    #[test]
    fn a_file_keeps_its_position() {
        let path = std::env::temp_dir().join(format!("epipe-no-sigpipe-{}", std::process::id()));
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path);
        let mut file = NoSigpipe::new(file.unwrap()).unwrap();
        file.write_all(b"0123456789").unwrap();
        file.seek(SeekFrom::Start(3)).unwrap();
        (&file).write_all(b"xyz").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).unwrap();
        drop(file);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read, "012xyz6789");
    }
}
