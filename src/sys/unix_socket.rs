//! Unix sockets by socket2: what std has as unstable, and addresses in socket2's form.

#![allow(unsafe_code, reason = "socket2 receives into memory that need not be initialised")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::SocketAddr;

#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
#[cfg(target_os = "cygwin")]
use std::os::cygwin::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;

use socket2::{SockAddr, SockRef};

/// A buffer in socket2's form, to receive into.
fn uninit(buf: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: std guarantees the same layout, and socket2 promises to write no uninitialised bytes.
    unsafe { &mut *(std::ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) }
}

pub(crate) fn peek(socket: &impl AsFd, buf: &mut [u8]) -> io::Result<usize> {
    SockRef::from(socket).peek(uninit(buf))
}

pub(crate) fn peek_from(socket: &impl AsFd, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    let (received, from) = SockRef::from(socket).peek_from(uninit(buf))?;
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "cygwin"))]
    if let Some(name) = from.as_abstract_namespace() {
        return Ok((received, SocketAddr::from_abstract_name(name)?));
    }
    let path = from.as_pathname().unwrap_or("".as_ref());
    Ok((received, SocketAddr::from_pathname(path)?))
}

/// For socket2 a leading zero byte marks an abstract name, and an empty path means no name.
pub(crate) fn to_socket2(address: &SocketAddr) -> io::Result<SockAddr> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "cygwin"))]
    if let Some(name) = address.as_abstract_name() {
        use std::os::unix::ffi::OsStrExt;
        let path = [&[0], name].concat();
        return SockAddr::unix(std::ffi::OsStr::from_bytes(&path));
    }
    SockAddr::unix(address.as_pathname().unwrap_or("".as_ref()))
}
