use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;

use crate::sys::handle::Plain;
use crate::sys::{PipeShield, ShieldPipe};

/// `write(2)` to a descriptor of any kind.
pub fn write(fd: impl AsFd, buf: &[u8]) -> io::Result<usize> {
    let fd = Plain(fd);
    PipeShield::default().write(&fd, &[IoSlice::new(buf)], || (&fd).write(buf))
}

/// `writev(2)` to a descriptor of any kind; slices beyond the system's limit are cut, as std
/// does.
pub fn write_vectored(fd: impl AsFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let fd = Plain(fd);
    PipeShield::default().write(&fd, bufs, || (&fd).write_vectored(bufs))
}
