//! A program that writes before `main`, to a pipe without a reader, if its environment asks for it.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Set in a child: whether it writes early.
const EARLY: &str = "EPIPE_EARLY";
const WRITES: &str = "writes";

/// An initialiser of a library, which runs before `main`.
extern "C" fn early() {
    if std::env::var_os(EARLY).is_none_or(|word| word != WRITES) {
        return;
    }
    let mut ends = [0; 2];
    // SAFETY: the array has room for both ends. The descriptors are this function's, and the byte
    // is valid.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        libc::close(ends[0]);
        assert_eq!(libc::write(ends[1], [0_u8].as_ptr().cast(), 1), -1);
        libc::close(ends[1]);
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static EARLY_ONE: extern "C" fn() = early;

/// The whole test: it runs this program again, with the early write and without.
pub fn main(name: &str, survives: bool) {
    if std::env::var_os(EARLY).is_some() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let run = |word| Command::new(&program).env(EARLY, word).status().unwrap();
    assert!(run("nothing").success());
    let status = run(WRITES);
    match survives {
        true => assert!(status.success(), "{status}"),
        false => assert_eq!(status.signal(), Some(libc::SIGPIPE), "{status}"),
    }
    println!("test {name} ... ok");
}
