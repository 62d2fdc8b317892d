//! A watch reports which call raised SIGPIPE.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use epipe_testing::{Fate, Watch, WatchError, assert_killed, assert_survives, fate_of};

use crate::support;

#[path = "../../src/blame.rs"]
mod blame;

/// The unwinder passes a signal's frame and libc's frames. musl has no unwind tables.
const WALKS: bool = !cfg!(target_env = "musl");

fn write_to_a_broken_pipe() {
    support::foreign_write(support::broken_pipe(), b"lost").unwrap_err();
}

#[test]
fn it_records_and_does_not_die() {
    assert_killed!(write_to_a_broken_pipe);
    assert_survives!(|| {
        let watch = Watch::begin().unwrap();
        watch.assert_none();
        write_to_a_broken_pipe();
        thread::Builder::new()
            .name("the other one".into())
            .spawn(write_to_a_broken_pipe)
            .unwrap()
            .join()
            .unwrap();
        let events = watch.events();
        assert_eq!(events.len(), 2);
        assert_eq!(watch.missed(), 0);
        assert_ne!(events[0].thread(), events[1].thread());
        assert_eq!(events[1].thread_name(), Some("the other one"));
        if !WALKS {
            // A static program has LLVM's unwinder, a dynamic one has gcc's.
            let is_static = cfg!(target_feature = "crt-static");
            let event = &events[0];
            assert_eq!(event.to_string().contains("cannot walk"), is_static, "{event}");
            assert!(event.caller().is_none(), "{event}");
            return;
        }
        for event in &events {
            let caller = event.caller().unwrap_or_else(|| panic!("no caller: {event}"));
            assert!(caller.file.as_ref().unwrap().ends_with("support/mod.rs"), "{event}");
            // The stack starts at the call: no frame is the handler's.
            let own = |frame: &epipe_testing::Frame| {
                frame.function.as_deref().is_some_and(|name| name.contains("epipe_testing::sys"))
            };
            assert!(!event.frames().iter().any(own), "{event}");
        }
    });
}

#[test]
fn the_former_action_is_restored() {
    for former in [libc::SIG_DFL, libc::SIG_IGN] {
        assert_survives!(|| {
            support::dispose(former);
            let watch = Watch::begin().unwrap();
            assert_ne!(support::disposition(), former);
            write_to_a_broken_pipe();
            drop(watch);
            assert_eq!(support::disposition(), former);
        });
    }
    // The default kills again.
    assert_killed!(|| {
        drop(Watch::begin().unwrap());
        write_to_a_broken_pipe();
    });
}

#[test]
fn a_former_handler_is_called_after_the_recording() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn of_one(signal: libc::c_int) {
        assert_eq!(signal, libc::SIGPIPE);
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
    extern "C" fn of_three(
        signal: libc::c_int,
        info: *mut libc::siginfo_t,
        context: *mut libc::c_void,
    ) {
        assert!(!info.is_null() && !context.is_null());
        of_one(signal);
    }
    assert_survives!(|| {
        for (handler, flags) in [
            (of_one as *const () as usize, libc::SA_RESTART),
            (of_three as *const () as usize, libc::SA_SIGINFO),
        ] {
            CALLS.store(0, Ordering::Relaxed);
            support::set_handler(libc::SIGPIPE, handler, flags);
            let watch = Watch::begin().unwrap();
            write_to_a_broken_pipe();
            assert_eq!((watch.events().len(), CALLS.load(Ordering::Relaxed)), (1, 1));
            drop(watch);
            write_to_a_broken_pipe();
            assert_eq!(CALLS.load(Ordering::Relaxed), 2);
            assert_eq!(support::action().sa_flags & flags, flags);
        }
    });
}

#[test]
fn a_handler_installed_meanwhile_stays() {
    assert_survives!(|| {
        let watch = Watch::begin().unwrap();
        support::dispose(support::hosts_handler());
        drop(watch);
        assert_eq!(support::disposition(), support::hosts_handler());
    });
}

#[test]
fn a_stale_handler_that_was_put_back_counts_as_the_default() {
    assert_survives!(|| {
        // curl does this around its calls.
        let watch = Watch::begin().unwrap();
        let found = support::action();
        support::dispose(libc::SIG_IGN);
        drop(watch);
        support::set_handler(libc::SIGPIPE, found.sa_sigaction, found.sa_flags);
        let watch = Watch::begin().unwrap();
        write_to_a_broken_pipe();
        assert_eq!(watch.events().len(), 1);
        drop(watch);
        assert_eq!(support::disposition(), libc::SIG_DFL);
    });
}

#[test]
fn only_one_at_a_time_and_a_new_one_after_it() {
    assert_survives!(|| {
        for _ in 0..3 {
            let watch = Watch::begin().unwrap();
            assert!(matches!(Watch::begin(), Err(WatchError::Another)));
            write_to_a_broken_pipe();
            // The former watch's events are gone.
            assert_eq!(watch.events().len(), 1);
        }
    });
}

#[test]
fn a_blocked_signal_is_not_seen() {
    assert_survives!(|| {
        let watch = Watch::begin().unwrap();
        support::mask(libc::SIG_BLOCK);
        write_to_a_broken_pipe();
        watch.assert_none();
        drop(watch);
        // A new watch on this thread would see nothing.
        assert!(matches!(Watch::begin(), Err(WatchError::Blocked)));
    });
}

#[test]
fn signals_beyond_the_limit_are_counted() {
    assert_survives!(|| {
        let watch = Watch::begin().unwrap();
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| (0..50).for_each(|_| write_to_a_broken_pipe()));
            }
        });
        assert_eq!(watch.events().len() + watch.missed(), 200);
        assert_eq!(watch.events().len(), 128);
    });
}

#[test]
fn the_message_of_assert_none_names_file_and_line() {
    let fate = fate_of(|| {
        let watch = Watch::begin().unwrap();
        write_to_a_broken_pipe();
        watch.assert_none();
    });
    assert_eq!(fate.unwrap(), Fate::Exited(101));
    let printed = assert_survives!(|| {
        let watch = Watch::begin().unwrap();
        write_to_a_broken_pipe();
        let failed = std::panic::catch_unwind(|| watch.assert_none()).unwrap_err();
        print!("{}", failed.downcast_ref::<String>().unwrap());
    });
    assert!(
        printed.contains("SIGPIPE was raised: with the default action it would kill the process"),
        "{printed}"
    );
    if !WALKS {
        return;
    }
    assert!(printed.contains("support/mod.rs:"), "{printed}");
    assert!(printed.contains("kit::watch::write_to_a_broken_pipe"), "{printed}");
    assert!(printed.contains("tests/kit/watch.rs:"), "{printed}");
}

/// std holds its backtrace lock while it prints a panic. A handler that took the lock would hang. A
/// handler that looked up symbols on an alternate stack would crash.
#[test]
fn a_panic_into_a_closed_stderr_is_recorded() {
    let panics = |watches: bool| {
        let watch = watches.then(|| Watch::begin().unwrap());
        support::close_the_reader_of(libc::STDERR_FILENO);
        let failed = thread::spawn(|| panic!("stderr is closed")).join();
        failed.unwrap_err();
        if let Some(watch) = watch {
            let events = watch.events();
            assert!(!events.is_empty());
            println!("{}", events[0]);
        }
    };
    let run = || {
        let test = "watch::a_panic_into_a_closed_stderr_is_recorded";
        let mut command = support::this_program();
        command.args([test, "--exact", "--nocapture"]).env("RUST_BACKTRACE", "1");
        epipe_testing::Rerun::from(command)
    };
    let printed = assert_survives!(run(), || panics(true));
    assert!(printed.contains("std::panicking") || !WALKS, "{printed}");
    assert_killed!(run(), || panics(false));
}

#[cfg(all(target_env = "gnu", target_arch = "x86_64"))] // the test calls the host's C compiler
#[test]
fn a_write_in_c_is_named() {
    use std::ffi::CString;
    use std::path::Path;
    use std::process::Command;

    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit/naive.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("naive.so");
    let compiled = Command::new("cc")
        .args(["-g", "-O0", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(compiled.success());
    let scene = || {
        let path = CString::new(library.to_str().unwrap()).unwrap();
        let naive = support::load(&path, c"naive_write");
        let pipe = support::broken_pipe();
        assert_eq!(naive(std::os::fd::AsRawFd::as_raw_fd(&pipe)), -1);
    };
    assert_killed!(scene);
    assert_survives!(|| {
        let watch = Watch::begin().unwrap();
        scene();
        let events = watch.events();
        assert_eq!(events.len(), 1);
        let event = &events[0];
        let caller = event.caller().unwrap();
        assert_eq!(caller.function.as_deref(), Some("naive_write"), "{event}");
        // One frame is at that line of the source.
        let code = std::fs::read_to_string(&source).unwrap();
        let is_there = |frame: &epipe_testing::Frame| {
            frame.file.as_ref().is_some_and(|file| file.ends_with("tests/kit/naive.c"))
                && frame.line.is_some_and(|line| {
                    code.lines().nth(line as usize - 1).unwrap().contains("write(fd, ")
                })
        };
        assert!(event.frames().iter().any(is_there), "{event}");
    });
}

#[test]
fn std_and_glibc_are_not_to_blame() {
    let is_to_blame = |(function, file): (&str, Option<&str>)| {
        blame::is_to_blame(Some(function), file.map(Path::new))
    };
    for innocent in [
        ("__writev", Some("./misc/../sysdeps/unix/sysv/linux/writev.c")),
        ("clone3", Some("../sysdeps/unix/sysv/linux/x86_64/clone3.S")),
        ("start_thread", Some("./nptl/pthread_create.c")),
        ("writev", None),
        ("std::io::Write::write_all", None),
        ("<std::net::TcpStream as std::io::Write>::write", None),
        ("__rustc::rust_begin_unwind", None),
        ("<&mut W as core::fmt::Write>::write_str", None),
        ("call_once", Some("/rustc/1/library/core/src/ops/function.rs")),
        ("call_once", Some("/x/lib/rustlib/src/rust/library/core/src/ops/function.rs")),
    ] {
        assert!(!is_to_blame(innocent), "{innocent:?}");
    }
    for guilty in [
        ("mini::request", None),
        ("<mini::Client as std::io::Write>::write", None),
        ("<&mut mini::Client as std::io::Write>::write", None),
        ("<std::net::TcpStream as mini::Request>::send", None),
        ("naive_write", Some("/home/mini/naive.c")),
        ("write_all", Some("/home/mini/sysdeps/write.c")),
        ("request", Some("src/lib.rs")),
    ] {
        assert!(is_to_blame(guilty), "{guilty:?}");
    }
    assert!(!blame::is_to_blame(None, None));
}
