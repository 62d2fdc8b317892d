//! Seccomp filters. They play an old kernel, a sandbox, and a stack that does not know a flag.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(unsafe_code, reason = "prctl takes pointers")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// A bit in the argument at an index.
pub type Bit = (usize, libc::c_int);

/// The calls that a filter affects: all of a number, or only those with or without a bit.
#[derive(Clone, Copy)]
pub enum Which {
    All,
    With(Bit),
    Without(Bit),
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
pub const DEADLY: u32 = libc::SECCOMP_RET_KILL_PROCESS;

/// One step of a filter. It skips `jt` steps if the condition is true, and `jf` if it is false.
fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    let code = code as u16;
    libc::sock_filter { code, jt, jf, k }
}

/// Filters this process's system calls from here on. It cannot be undone.
fn install(mut program: Vec<libc::sock_filter>) {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the call, which copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

/// Why a scene is not played where filters cannot be installed.
pub const NO_FILTERS: &str = "no seccomp filter can be installed here";

/// Whether filters can be installed here. The test passes no program: a kernel with filters looks
/// for one, and reports EFAULT. Emulators of a processor report EINVAL.
pub fn can_be_filtered() -> bool {
    let none: *const libc::sock_fprog = std::ptr::null();
    // SAFETY: the kernel checks the address.
    let answer = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, none) };
    answer == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// The same for the calls of sockets. On 32-bit x86, glibc makes all of them by `socketcall`, whose
/// arguments a filter cannot see.
pub fn can_filter_sockets() -> bool {
    can_be_filtered() && cfg!(not(target_arch = "x86"))
}

/// From here on, these calls of that number end with a seccomp `action`.
pub fn filter(number: libc::c_long, which: Which, action: u32) {
    // struct seccomp_data: nr, arch, instruction pointer, six arguments of 64 bits.
    let low_word = if cfg!(target_endian = "big") { 4 } else { 0 };
    let (index, bit) = match which {
        Which::All => (0, 0),
        Which::With(bit) | Which::Without(bit) => bit,
    };
    // Whether the filter lets a call pass whose masked argument is 0. With `All` it is always 0.
    let passes_if_zero = u8::from(matches!(which, Which::With(..)));
    install(vec![
        step(LOAD, 0, 0, 0),
        step(JUMP_IF_EQUAL, number as u32, 0, 4),
        step(LOAD, 16 + 8 * index as u32 + low_word, 0, 0),
        step(AND, bit as u32, 0, 0),
        step(JUMP_IF_EQUAL, 0, passes_if_zero, 1 - passes_if_zero),
        step(RETURN, action, 0, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]);
}

/// From here on, each pwritev2 ends with this error.
pub fn refuse_write_flag(error: libc::c_int) {
    filter(libc::SYS_pwritev2, Which::All, refusing(error));
}

pub fn refusing(error: libc::c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | error as u32
}

/// Allows the calls of these numbers, and exit_group. Every other call kills the process.
pub fn allow_only(numbers: &[libc::c_long]) {
    let allowed = [numbers, &[libc::SYS_exit_group]].concat();
    install(by_number(&allowed, libc::SECCOMP_RET_ALLOW, DEADLY));
}

/// One action for the calls of these numbers, and one for all others.
fn by_number(numbers: &[libc::c_long], action: u32, otherwise: u32) -> Vec<libc::sock_filter> {
    let mut program = vec![step(LOAD, 0, 0, 0)];
    for (passed, number) in numbers.iter().enumerate() {
        // The number of steps to the last one.
        let to_the_end = numbers.len() - passed;
        program.push(step(JUMP_IF_EQUAL, *number as u32, to_the_end as u8, 0));
    }
    program.push(step(RETURN, otherwise, 0, 0));
    program.push(step(RETURN, action, 0, 0));
    program
}

// ------------------------------------------------------------------------- one call fails ----

/// The error of the next supervised call. 0: the call is made.
static NEXT: AtomicI32 = AtomicI32::new(0);

/// The next supervised call is not made, and ends with this error.
pub fn fail_next(error: libc::c_int) {
    NEXT.store(error, Ordering::Release);
}

/// Whether such a call has failed since. Cancels the error if none has.
pub fn has_failed() -> bool {
    NEXT.swap(0, Ordering::AcqRel) == 0
}

/// Whether [`supervise`] works here. It needs Linux 5.5.
pub fn can_be_supervised() -> bool {
    let action = libc::SECCOMP_RET_USER_NOTIF;
    let operation = libc::SECCOMP_GET_ACTION_AVAIL;
    // SAFETY: the action is valid for the call.
    can_be_filtered() && unsafe { libc::syscall(libc::SYS_seccomp, operation, 0, &action) } == 0
}

/// From here on, each call of these numbers on this thread asks another thread first. The filter
/// does not affect that thread.
pub fn supervise(numbers: &[libc::c_long]) {
    let (give, taken) = std::sync::mpsc::channel::<OwnedFd>();
    std::thread::spawn(move || answer(taken.recv().unwrap()));
    let mut program = by_number(numbers, libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW);
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let operation = libc::SECCOMP_SET_MODE_FILTER;
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // SAFETY: the program outlives the call, which copies it. The descriptor is new.
    let listener = unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let listener = libc::syscall(libc::SYS_seccomp, operation, flags, &program);
        assert_ne!(listener, -1, "{}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(listener as RawFd)
    };
    give.send(listener).unwrap();
}

/// Answers until the process ends. After a panic the listener is closed, and the calls fail.
fn answer(listener: OwnedFd) {
    loop {
        // SAFETY: all zeros is a valid notification, and the kernel requires zeros.
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the notification is valid for the call, which writes it.
        if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call) }
            == -1
        {
            continue; // interrupted
        }
        let error = NEXT.swap(0, Ordering::AcqRel);
        let flags = if error == 0 { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as _ } else { 0 };
        let response = libc::seccomp_notif_resp { id: call.id, val: 0, error: -error, flags };
        // SAFETY: the response is valid for the call, which reads it.
        let sent =
            unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &response) };
        assert_eq!(sent, 0, "{}", io::Error::last_os_error());
    }
}
