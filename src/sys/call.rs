//! The system calls of a write: those that carry a flag, and the plain ones with std's own limits.
//! `build.rs` reads this file too.
//!
//! They use libc, not socket2, which makes the same calls with more instructions around them.

#![allow(unsafe_code, reason = "the calls take pointers")]

use std::ffi::c_int;
use std::io::{self, IoSlice};
#[cfg(target_os = "linux")]
use std::os::fd::FromRawFd;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// How many bytes one call takes. Apple reports an error for more, so std cuts the buffer.
const WRITE_LIMIT: usize =
    if cfg!(target_vendor = "apple") { c_int::MAX as usize } else { isize::MAX as usize };

/// Like std's `write` of a pipe.
#[inline]
pub(crate) fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    let len = buf.len().min(WRITE_LIMIT);
    // SAFETY: the buffer is valid for the call, and has the given length.
    let written = unsafe { libc::write(fd.as_raw_fd(), buf.as_ptr().cast(), len) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

#[inline]
pub(crate) fn send(socket: BorrowedFd<'_>, buf: &[u8], flags: c_int) -> io::Result<usize> {
    // SAFETY: the buffer is valid for the call, and has the given length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Like std's `write_vectored` of a pipe. It takes no more slices than [`cut`] leaves.
#[inline]
pub(crate) fn write_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let (slices, len) = (bufs.as_ptr().cast(), bufs.len() as c_int);
    // SAFETY: std guarantees that IoSlice is ABI-compatible with iovec. `bufs` holds `len` of them.
    let written = unsafe { libc::writev(fd.as_raw_fd(), slices, len) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// Redox has no sendmsg, and no flag.
#[cfg(target_os = "redox")]
pub(crate) fn sendmsg(
    socket: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    _: Option<&Address>,
    _: c_int,
) -> io::Result<usize> {
    write_vectored(socket, bufs)
}

/// `sendmsg`, with an address or without.
#[cfg(not(target_os = "redox"))]
#[inline]
pub(crate) fn sendmsg(
    socket: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    to: Option<&Address>,
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: all zeros is a valid msghdr: no address, no slices, no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    if let Some(to) = to {
        message.msg_name = (&raw const to.storage).cast_mut().cast();
        message.msg_namelen = to.len;
    }
    message.msg_iov = bufs.as_ptr().cast_mut().cast();
    message.msg_iovlen = bufs.len() as _;
    // SAFETY: std guarantees that IoSlice is ABI-compatible with iovec. The message has the true
    // number of slices and length of the address. Both are borrowed for the call, which only reads.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// `sendto`, with an address or without. For the probe.
pub(crate) fn send_to(
    socket: BorrowedFd<'_>,
    buf: &[u8],
    to: Option<&Address>,
    flags: c_int,
) -> io::Result<usize> {
    let (to, to_len) = match to {
        Some(to) => ((&raw const to.storage).cast(), to.len),
        None => (std::ptr::null(), 0),
    };
    let (fd, len) = (socket.as_raw_fd(), buf.len());
    // SAFETY: buffer and address are valid for the call and have the given lengths.
    let sent = unsafe { libc::sendto(fd, buf.as_ptr().cast(), len, flags, to, to_len) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut on: c_int = 1;
    // SAFETY: FIONBIO reads an int, which outlives the call.
    match unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONBIO as _, &raw mut on) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A socket's address, in the system's form.
pub(crate) struct Address {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl Address {
    /// The socket's own address.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> io::Result<Address> {
        let mut address = Address {
            // SAFETY: all zeros is a valid address, without a family.
            storage: unsafe { std::mem::zeroed() },
            len: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        };
        let storage = (&raw mut address.storage).cast();
        // SAFETY: `len` is the length of the storage, and both outlive the call.
        match unsafe { libc::getsockname(socket.as_raw_fd(), storage, &mut address.len) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(address),
        }
    }
}

/// Cuts the slices to the number that one call takes (IOV_MAX of limits.h), as std does. Where
/// the system names no number it is 16, which POSIX promises.
#[inline]
pub(crate) fn cut<'a, 'b>(bufs: &'a [IoSlice<'b>]) -> &'a [IoSlice<'b>] {
    const LIMIT: usize = if cfg!(iov_max_1024) { 1024 } else { 16 };
    &bufs[..bufs.len().min(LIMIT)]
}

/// Whether the slices hold no byte.
#[inline]
pub(crate) fn is_empty(bufs: &[IoSlice<'_>]) -> bool {
    // Mostly the first slice is not empty, so it is asked before the loop.
    bufs.first().is_none_or(|first| first.is_empty()) && bufs.iter().all(|buf| buf.is_empty())
}

/// Moves a descriptor for a test to 3 or above. If one of 0 to 2 was free, it may have landed
/// there. Other threads write to these, and the test breaks its connection.
pub(crate) fn private(fd: OwnedFd) -> io::Result<OwnedFd> {
    // std duplicates to 3 or above.
    if fd.as_raw_fd() > 2 { Ok(fd) } else { fd.try_clone() }
}

/// A pipe for a question.
#[cfg(target_os = "linux")]
pub(crate) fn private_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the array holds two descriptors.
    let answer = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    if ends.contains(&-1) {
        // A sandbox may report success without doing it.
        return Err(io::ErrorKind::Other.into());
    }
    // SAFETY: the kernel has just made the descriptors, and nothing else owns them.
    let [reader, writer] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    Ok((private(reader)?, private(writer)?))
}

/// A file in memory, in no directory. The raw system call: glibc before 2.27 lacks the function.
#[cfg(target_os = "linux")]
pub(crate) fn memory_file() -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string. F_GET_SEALS changes nothing. It fails on a file of any other
    // kind, such as descriptor 0 of a sandbox that reports success (0) without doing it.
    unsafe {
        let fd = libc::syscall(libc::SYS_memfd_create, c"".as_ptr(), libc::MFD_CLOEXEC) as c_int;
        match libc::fcntl(fd, libc::F_GET_SEALS) {
            -1 => Err(io::Error::last_os_error()),
            // The kernel has just made the file, and nothing else owns it.
            _ => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// The raw system call: musl before 1.2.5 and glibc before 2.26 have no `pwritev2`. A program that
/// links to it would not load there.
#[cfg(target_os = "linux")]
#[inline]
pub(crate) fn pwritev2(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    flags: c_int,
) -> io::Result<usize> {
    // Offset -1, in two words: the file's own position, with O_APPEND obeyed, like `write`.
    const CURRENT: libc::c_long = -1;
    // SAFETY: std guarantees that IoSlice is ABI-compatible with iovec. `bufs` holds `bufs.len()`
    // of them, and is borrowed for the call.
    let written = unsafe {
        libc::syscall(
            libc::SYS_pwritev2,
            fd.as_raw_fd(),
            bufs.as_ptr(),
            bufs.len() as libc::c_long,
            CURRENT,
            CURRENT,
            flags,
        )
    };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}
