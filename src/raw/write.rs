use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use crate::sys::handle::Plain;
use crate::sys::{PipeShield, ShieldPipe};

/// `write(2)` to a descriptor of any kind.
pub fn write(fd: impl AsFd, buf: &[u8]) -> io::Result<usize> {
    PipeShield::default().write(&Plain(fd), buf)
}

/// `writev(2)` to a descriptor of any kind; slices beyond the system's limit are cut, as std
/// does.
pub fn write_vectored(fd: impl AsFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    PipeShield::default().write_vectored(&Plain(fd), bufs)
}
