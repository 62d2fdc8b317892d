//! A program in which something writes before `main`: it writes to a pipe without a reader, if it
//! is told so.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Set in a child: whether it writes early.
const EARLY: &str = "EPIPE_EARLY";
const WRITES: &str = "writes";

/// What a library does that is initialised before `main`.
extern "C" fn early() {
    if std::env::var_os(EARLY).is_none_or(|word| word != WRITES) {
        return;
    }
    let mut ends = [0; 2];
    // SAFETY: the array has room for both ends; the descriptors are this function's, and the byte
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

/// The whole test: this program once more, in which that happens.
pub fn main(name: &str, survives: bool) {
    if std::env::var_os(EARLY).is_some() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let fate = |word| Command::new(&program).env(EARLY, word).status().unwrap();
    assert!(fate("nothing").success());
    let fate = fate(WRITES);
    match survives {
        true => assert!(fate.success(), "{fate}"),
        false => assert_eq!(fate.signal(), Some(libc::SIGPIPE), "{fate}"),
    }
    println!("test {name} ... ok");
}
