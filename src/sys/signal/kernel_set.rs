//! Linux and Android: the kernel's own set, for raw calls. libc's set has 1024 signals, which each
//! of its calls fills and copies.

use std::io;
use std::ptr;

use libc::{SIGPIPE, c_int, c_ulong};

use super::checked;

pub(super) type Set = [c_ulong; SIGNALS / c_ulong::BITS as usize];

/// _NSIG of the kernel, asm/signal.h.
const SIGNALS: usize = match cfg!(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
)) {
    true => 128,
    false => 64,
};

#[inline]
pub(super) fn nothing() -> Set {
    [0; SIGNALS / c_ulong::BITS as usize]
}

#[inline]
pub(super) fn sigpipe() -> Set {
    let mut set = nothing();
    set[0] = 1 << (SIGPIPE - 1);
    set
}

#[inline]
pub(super) fn contains_sigpipe(set: &Set) -> bool {
    set[0] & sigpipe()[0] != 0
}

#[inline]
pub(super) fn change_mask(how: c_int, set: &Set, old: Option<&mut Set>) -> io::Result<()> {
    let old = old.map_or(ptr::null_mut(), ptr::from_mut);
    let (set, size) = (ptr::from_ref(set), size_of::<Set>());
    // SAFETY: both are valid sets of the given size. `old` may be null: then it is not written.
    checked(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, set, old, size) }).map(drop)
}

#[inline]
pub(super) fn sigpending(set: &mut Set) -> io::Result<()> {
    let (set, size) = (ptr::from_mut(set), size_of::<Set>());
    // SAFETY: the set is valid for the call, and has the given size.
    checked(unsafe { libc::syscall(libc::SYS_rt_sigpending, set, size) }).map(drop)
}
