use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;

use crate::sys::handle::as_file;
use crate::sys::{PipeShield, ShieldPipe};

/// `write(2)` to a descriptor of any kind.
pub fn write(fd: impl AsFd, buf: &[u8]) -> io::Result<usize> {
    let fd = fd.as_fd();
    PipeShield::default().write(&fd, &[IoSlice::new(buf)], || {
        as_file(fd, |mut file| file.write(buf))
    })
}

/// `writev(2)` to a descriptor of any kind; slices beyond the system's limit are cut, as std
/// does.
pub fn write_vectored(fd: impl AsFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let fd = fd.as_fd();
    PipeShield::default().write(&fd, bufs, || {
        as_file(fd, |mut file| file.write_vectored(bufs))
    })
}
