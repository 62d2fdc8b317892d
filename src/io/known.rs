use std::fs::File;
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use crate::NoSigpipe;
use crate::sys::copy::{Kind, Known};

/// The handles whose bytes `io::copy` may move without their own `read` and `write`. References to
/// them are also known.
pub(super) static KNOWN: [Known; 18] = [
    Known::new::<crate::net::TcpStream>(Some(Kind::Stream)),
    Known::new::<crate::os::unix::net::UnixStream>(Some(Kind::Stream)),
    Known::new::<std::net::TcpStream>(Some(Kind::Stream)),
    Known::new::<std::os::unix::net::UnixStream>(Some(Kind::Stream)),
    Known::new::<NoSigpipe<std::net::TcpStream>>(Some(Kind::Stream)),
    Known::new::<NoSigpipe<std::os::unix::net::UnixStream>>(Some(Kind::Stream)),
    Known::new::<super::pipe::PipeReader>(Some(Kind::Pipe)),
    Known::new::<super::pipe::PipeWriter>(Some(Kind::Pipe)),
    Known::new::<std::io::PipeReader>(Some(Kind::Pipe)),
    Known::new::<std::io::PipeWriter>(Some(Kind::Pipe)),
    Known::new::<ChildStdin>(Some(Kind::Pipe)),
    Known::new::<ChildStdout>(Some(Kind::Pipe)),
    Known::new::<ChildStderr>(Some(Kind::Pipe)),
    Known::new::<NoSigpipe<std::io::PipeWriter>>(Some(Kind::Pipe)),
    Known::new::<NoSigpipe<ChildStdin>>(Some(Kind::Pipe)),
    Known::new::<File>(None),
    Known::new::<NoSigpipe<File>>(None),
    Known::new::<crate::socket2::Socket>(None),
];
