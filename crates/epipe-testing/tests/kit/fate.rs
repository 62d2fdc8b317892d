//! `fate_of` and the assert macros.

use std::io::{self, Write};
use std::process::Command;
use std::thread;
use std::time::Duration;

use epipe_testing::{Fate, FateError, Rerun, assert_killed, assert_survives, fate_of};

use crate::support;

fn write_to_a_broken_pipe() {
    support::foreign_write(support::broken_pipe(), b"lost").unwrap_err();
}

#[test]
fn each_fate_is_reported() {
    let played = |scene: fn()| fate_of(scene).unwrap();
    assert_eq!(played(|| {}), Fate::Survived(String::new()));
    assert_eq!(played(write_to_a_broken_pipe), Fate::KilledBySigpipe);
    assert_eq!(played(|| std::process::abort()), Fate::KilledBy(libc::SIGABRT));
    assert_eq!(played(|| panic!("a reason")), Fate::Exited(101));
    assert_eq!(played(|| std::process::exit(7)), Fate::Exited(7));
    // The process ended well, but the closure did not return.
    assert_eq!(played(|| std::process::exit(0)), Fate::Exited(0));
    let endless = Rerun::test("fate::each_fate_is_reported")
        .unwrap()
        .timeout(Duration::from_millis(300))
        .fate_of(|| {
            loop {
                thread::park();
            }
        });
    assert_eq!(endless.unwrap(), Fate::TimedOut);
}

#[test]
fn the_timeout_starts_with_the_scene() {
    // This runs here and in the child.
    let before = Duration::from_millis(300);
    thread::sleep(before);
    let fate = Rerun::test("fate::the_timeout_starts_with_the_scene")
        .unwrap()
        .timeout(before / 2)
        .fate_of(|| {});
    assert!(matches!(fate.unwrap(), Fate::Survived(_)));
}

#[test]
fn sigpipe_has_its_default_and_is_not_blocked_in_a_scene() {
    // libtest ignores SIGPIPE here, and the child inherits the mask.
    assert_eq!(support::disposition(), libc::SIG_IGN);
    support::mask(libc::SIG_BLOCK);
    assert_survives!(|| {
        assert_eq!(support::disposition(), libc::SIG_DFL);
        assert!(!support::is_blocked());
    });
    assert_killed!(write_to_a_broken_pipe);
}

#[cfg(target_os = "linux")] // libtest ignores SIGPIPE, and only Linux queues an ignored signal
#[test]
fn a_signal_pending_before_does_not_reach_the_scene() {
    support::mask(libc::SIG_BLOCK);
    write_to_a_broken_pipe();
    assert!(support::is_pending());
    assert_survives!(|| assert!(!support::is_pending()));
}

#[test]
fn only_the_scene_s_output_is_returned() {
    println!("not this");
    eprintln!("nor this");
    let printed = assert_survives!(|| {
        println!("this");
        eprint!("and this");
    });
    assert_eq!(printed, "this\nand this");
    println!("nor that");
}

#[test]
fn calls_are_identified_by_place_and_count() {
    let mut before = 0;
    for number in 0..3 {
        before += 1;
        let printed = assert_survives!(|| print!("{number} after {before}"));
        assert_eq!(printed, format!("{number} after {before}"));
        // The children of later calls know the fates of these.
        assert_killed!(write_to_a_broken_pipe);
    }
    let (one, two) = (assert_survives!(|| print!("one")), assert_survives!(|| print!("two")));
    assert_eq!((one.as_str(), two.as_str()), ("one", "two"));
}

#[test]
fn changes_of_the_scene_stay_in_the_child() {
    let mut here = 1;
    assert_survives!(|| {
        here += 1;
        assert_eq!(here, 2);
    });
    assert_eq!(here, 1);
}

#[test]
#[should_panic(expected = "the scene should survive: it panicked (exit status 101), and printed:")]
fn a_panic_in_the_scene_fails() {
    assert_survives!(|| panic!("the reason"));
}

#[test]
fn the_failure_message_holds_the_child_s_output() {
    let message = |scene: fn()| {
        let failed = std::panic::catch_unwind(|| drop(assert_survives!(scene))).unwrap_err();
        failed.downcast_ref::<String>().unwrap().clone()
    };
    let panicked = message(|| panic!("the reason"));
    assert!(panicked.contains("the reason"), "{panicked}");
    let killed = message(|| {
        println!("the last words");
        write_to_a_broken_pipe();
    });
    assert!(killed.contains("it was killed by SIGPIPE, and printed:\nthe last words"), "{killed}");
    let survived = std::panic::catch_unwind(|| assert_killed!(|| print!("alive"))).unwrap_err();
    let survived = survived.downcast_ref::<String>().unwrap();
    assert!(survived.contains("it survived, and printed:\nalive"), "{survived}");
}

#[test]
#[should_panic(expected = "the test goes on after the call")]
fn a_panic_in_the_child_does_not_satisfy_should_panic() {
    // The child's panic must not count as the panic that the test expects.
    assert_eq!(fate_of(|| panic!("in the scene")).unwrap(), Fate::Exited(101));
    panic!("the test goes on after the call");
}

#[test]
#[ignore = "the next test runs it"]
fn an_ignored_test() {
    assert_killed!(write_to_a_broken_pipe);
}

#[test]
fn ignored_tests_and_one_thread_work() {
    let tests = support::this_program()
        .args(["fate::", "--include-ignored", "--test-threads=1"])
        .args(["--skip", "ignored_tests_and_one_thread_work"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&tests.stdout);
    assert!(tests.status.success(), "{printed}");
    assert!(printed.contains("fate::an_ignored_test ... ok"), "{printed}");
}

#[test]
fn a_spawned_thread_gets_an_error_and_may_name_the_test() {
    let unnamed = thread::spawn(|| fate_of(|| {}).unwrap_err()).join().unwrap();
    assert!(matches!(unnamed, FateError::NotATest { .. }), "{unnamed}");
    assert!(unnamed.to_string().contains("an unnamed thread is not a test's"), "{unnamed}");
    assert!(unnamed.to_string().contains("Rerun::test("), "{unnamed}");

    let this = "fate::a_spawned_thread_gets_an_error_and_may_name_the_test";
    let fate = thread::spawn(move || {
        let rerun = Rerun::test(this).unwrap();
        assert_killed!(rerun, write_to_a_broken_pipe);
        Rerun::test(this).unwrap().fate_of(|| print!("here"))
    });
    assert_eq!(fate.join().unwrap().unwrap(), Fate::Survived("here".into()));

    let named = thread::Builder::new().name("not_a_test".into());
    let error = named.spawn(|| fate_of(|| {}).unwrap_err()).unwrap().join().unwrap();
    assert!(matches!(error, FateError::NeverArrived { .. }), "{error}");
    let printed = format!("{error:?}"); // `unwrap` shows this
    assert!(printed.contains("running 0 tests"), "{printed}");
    assert!(printed.contains("Rerun::test("), "{printed}");
}

#[test]
fn a_run_that_does_not_reach_the_call_is_an_error() {
    let elsewhere = Rerun::test("fate::changes_of_the_scene_stay_in_the_child").unwrap();
    let error = elsewhere.fate_of(|| {}).unwrap_err();
    assert!(matches!(error, FateError::NeverArrived { .. }), "{error}");
    // Under qemu-user, a failed spawn looks like a child that ended.
    let nothing = Rerun::from(Command::new("/nonexistent")).fate_of(|| {});
    assert!(matches!(nothing, Err(FateError::Io(_) | FateError::NeverArrived { .. })));
}

#[test]
fn a_scene_within_a_scene_is_an_error() {
    let printed = assert_survives!(|| {
        let error = fate_of(|| {}).unwrap_err();
        print!("{error}");
    });
    assert!(printed.contains("do not nest calls"), "{printed}");
}

#[test]
fn a_process_that_the_scene_starts_is_a_parent() {
    // The grandchild inherits the variable, but the child has already arrived.
    let printed = assert_survives!(|| {
        let tests = support::this_program()
            .args(["fate::changes_of_the_scene_stay_in_the_child", "--exact"])
            .output()
            .unwrap();
        assert!(tests.status.success());
        std::io::stdout().write_all(b"played").unwrap();
    });
    assert_eq!(printed, "played");
}

#[test]
fn a_process_started_before_the_call_is_a_parent() {
    // With a runner, the child's arguments are unknown: this process would take the call for its
    // own.
    if std::env::var_os("EPIPE_RUNNER").is_some() {
        return;
    }
    let tests = support::this_program()
        .args(["fate::changes_of_the_scene_stay_in_the_child", "--exact"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&tests.stdout);
    assert!(tests.status.success(), "{printed}");
    assert_survives!(|| {});
}

#[test]
fn a_process_started_with_the_same_arguments_is_a_parent() {
    const IN_THERE: &str = "EPIPE_TEST_IN_THERE";
    assert_survives!(|| {
        if std::env::var_os(IN_THERE).is_some() {
            return;
        }
        let output = support::this_program()
            .args(std::env::args_os().skip(1))
            .env(IN_THERE, "yes")
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}");
        assert!(printed.contains("after the call"), "{printed}");
    });
    println!("after the call");
}

#[test]
fn a_scene_may_forbid_new_descriptors() {
    assert_survives!(|| {
        support::forbid_descriptors();
        io::pipe().unwrap_err();
    });
}

#[test]
fn a_child_of_the_scene_does_not_delay_the_parent() {
    // The sleeper keeps the standard streams open, for longer than a scene may take.
    #[expect(clippy::zombie_processes, reason = "the sleeper outlives its parent")]
    let fate = fate_of(|| {
        let sleeper = Command::new("sleep").arg("100").spawn().unwrap();
        print!("{}", sleeper.id());
    });
    let Ok(Fate::Survived(sleeper)) = fate else {
        panic!("{fate:?}");
    };
    let killed = Command::new("kill").arg(sleeper).status().unwrap();
    assert!(killed.success());
}
