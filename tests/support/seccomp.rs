//! Seccomp filters: they play the old kernel, the sandbox and the stack that does not know a flag.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(unsafe_code, reason = "prctl takes pointers")]

/// A bit in the argument at an index.
pub type Bit = (usize, libc::c_int);

/// Which calls a filter is about: all of that number, or those with or without a bit.
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

/// One step of a filter; `jt` and `jf` are how many steps it skips if true or false.
fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    let code = code as u16;
    libc::sock_filter { code, jt, jf, k }
}

/// Filters this process's system calls from here on. Cannot be taken back.
fn install(mut program: Vec<libc::sock_filter>) {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program lives through the call, which copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

/// Whether filters can be installed here: the question is asked with no program, and EFAULT comes
/// from a kernel that looked for one. Emulators of a processor answer EINVAL.
pub fn can_be_filtered() -> bool {
    let none: *const libc::sock_fprog = std::ptr::null();
    // SAFETY: the kernel checks the address.
    let answer = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, none) };
    answer == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// From here on those calls of that number end with a seccomp `action`.
pub fn filter(number: libc::c_long, which: Which, action: u32) {
    // struct seccomp_data: nr, arch, instruction pointer, arguments of 64 bits.
    let low_word = if cfg!(target_endian = "big") { 4 } else { 0 };
    let (index, bit) = match which {
        Which::All => (0, 0),
        Which::With(bit) | Which::Without(bit) => bit,
    };
    // The masked argument is 0: is that one of them? With `All` it always is.
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

/// From here on each pwritev2 ends with this error.
pub fn refuse_write_flag(error: libc::c_int) {
    filter(libc::SYS_pwritev2, Which::All, refusing(error));
}

pub fn refusing(error: libc::c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | error as u32
}

/// Allows the calls of these numbers, and to end; every other call is deadly.
pub fn allow_only(numbers: &[libc::c_long]) {
    let ending = [libc::SYS_exit_group];
    let allowed: Vec<_> = numbers.iter().chain(&ending).collect();
    let mut program = vec![step(LOAD, 0, 0, 0)];
    for (passed, number) in allowed.iter().enumerate() {
        // To the last step, which allows.
        let to_the_end = allowed.len() - passed;
        program.push(step(JUMP_IF_EQUAL, **number as u32, to_the_end as u8, 0));
    }
    program.push(step(RETURN, DEADLY, 0, 0));
    program.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    install(program);
}
