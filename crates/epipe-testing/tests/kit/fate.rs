//! The fate of a closure, told from outside.

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
fn every_fate_is_told_for_what_it_is() {
    let played = |scene: fn()| fate_of(scene).unwrap();
    assert_eq!(played(|| {}), Fate::Survived(String::new()));
    assert_eq!(played(write_to_a_broken_pipe), Fate::KilledBySigpipe);
    assert_eq!(played(|| std::process::abort()), Fate::KilledBy(libc::SIGABRT));
    assert_eq!(played(|| panic!("as told")), Fate::Exited(101));
    assert_eq!(played(|| std::process::exit(7)), Fate::Exited(7));
    // It ended, but not by its own end.
    assert_eq!(played(|| std::process::exit(0)), Fate::Exited(0));
    let endless = Rerun::test("fate::every_fate_is_told_for_what_it_is")
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
fn the_time_is_the_scene_s_own() {
    // Here and in the child.
    let way = Duration::from_millis(300);
    thread::sleep(way);
    let fate =
        Rerun::test("fate::the_time_is_the_scene_s_own").unwrap().timeout(way / 2).fate_of(|| {});
    assert!(matches!(fate.unwrap(), Fate::Survived(_)));
}

#[test]
fn sigpipe_has_its_default_and_is_not_blocked_in_there() {
    // Here libtest ignores it; and a blocked one would be inherited.
    assert_eq!(support::disposition(), libc::SIG_IGN);
    support::mask(libc::SIG_BLOCK);
    assert_survives!(|| {
        assert_eq!(support::disposition(), libc::SIG_DFL);
        assert!(!support::is_blocked());
    });
    assert_killed!(write_to_a_broken_pipe);
}

#[cfg(target_os = "linux")] // libtest ignores it, and the others queue no ignored signal
#[test]
fn one_that_was_pending_before_is_not_the_scene_s() {
    support::mask(libc::SIG_BLOCK);
    write_to_a_broken_pipe();
    assert!(support::is_pending());
    assert_survives!(|| assert!(!support::is_pending()));
}

#[test]
fn what_the_scene_prints_is_told_and_nothing_else() {
    println!("not this");
    eprintln!("nor this");
    let said = assert_survives!(|| {
        println!("this");
        eprint!("and this");
    });
    assert_eq!(said, "this\nand this");
    println!("nor that");
}

#[test]
fn calls_are_told_apart_by_place_and_count() {
    let mut before = 0;
    for number in 0..3 {
        before += 1;
        let said = assert_survives!(|| print!("{number} after {before}"));
        assert_eq!(said, format!("{number} after {before}"));
        // Their fates are known to the children of those that follow.
        assert_killed!(write_to_a_broken_pipe);
    }
    let (one, two) = (assert_survives!(|| print!("one")), assert_survives!(|| print!("two")));
    assert_eq!((one.as_str(), two.as_str()), ("one", "two"));
}

#[test]
fn what_the_scene_changes_stays_there() {
    let mut here = 1;
    assert_survives!(|| {
        here += 1;
        assert_eq!(here, 2);
    });
    assert_eq!(here, 1);
}

#[test]
#[should_panic(expected = "the scene should survive: it panicked (exit status 101), and said:")]
fn a_panic_in_the_scene_fails() {
    assert_survives!(|| panic!("the reason"));
}

#[test]
fn the_failure_message_holds_what_the_child_said() {
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
    assert!(killed.contains("it was killed by SIGPIPE, and said:\nthe last words"), "{killed}");
    let survived = std::panic::catch_unwind(|| assert_killed!(|| print!("alive"))).unwrap_err();
    let survived = survived.downcast_ref::<String>().unwrap();
    assert!(survived.contains("it survived, and said:\nalive"), "{survived}");
}

#[test]
#[should_panic(expected = "and behind it the test goes on")]
fn a_test_that_should_panic_is_no_way_out_for_the_child() {
    // In the child the panic must not end the test as it should end.
    assert_eq!(fate_of(|| panic!("in the scene")).unwrap(), Fate::Exited(101));
    panic!("and behind it the test goes on");
}

#[test]
#[ignore = "played by the next one"]
fn an_ignored_test() {
    assert_killed!(write_to_a_broken_pipe);
}

#[test]
fn an_ignored_test_and_one_at_a_time() {
    let tests = support::this_program()
        .args(["fate::", "--include-ignored", "--test-threads=1"])
        .args(["--skip", "an_ignored_test_and_one_at_a_time"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tests.stdout);
    assert!(tests.status.success(), "{said}");
    assert!(said.contains("fate::an_ignored_test ... ok"), "{said}");
}

#[test]
fn a_spawned_thread_is_told_so_at_once_and_may_name_the_test() {
    let unnamed = thread::spawn(|| fate_of(|| {}).unwrap_err()).join().unwrap();
    assert!(matches!(unnamed, FateError::NotATest { .. }), "{unnamed}");
    assert!(unnamed.to_string().contains("an unnamed thread is no test's"), "{unnamed}");
    assert!(unnamed.to_string().contains("Rerun::test("), "{unnamed}");

    let this = "fate::a_spawned_thread_is_told_so_at_once_and_may_name_the_test";
    let fate = thread::spawn(move || {
        let rerun = Rerun::test(this).unwrap();
        assert_killed!(rerun, write_to_a_broken_pipe);
        Rerun::test(this).unwrap().fate_of(|| print!("here"))
    });
    assert_eq!(fate.join().unwrap().unwrap(), Fate::Survived("here".into()));

    let named = thread::Builder::new().name("not_a_test".into());
    let error = named.spawn(|| fate_of(|| {}).unwrap_err()).unwrap().join().unwrap();
    assert!(matches!(error, FateError::NeverArrived { .. }), "{error}");
    let said = format!("{error:?}"); // what `unwrap` shows
    assert!(said.contains("running 0 tests"), "{said}");
    assert!(said.contains("Rerun::test("), "{said}");
}

#[test]
fn a_run_that_takes_another_way_is_no_survival() {
    let elsewhere = Rerun::test("fate::what_the_scene_changes_stays_there").unwrap();
    let error = elsewhere.fate_of(|| {}).unwrap_err();
    assert!(matches!(error, FateError::NeverArrived { .. }), "{error}");
    // Under qemu-user a spawn that fails looks like a child that ended.
    let nothing = Rerun::from(Command::new("/nonexistent")).fate_of(|| {});
    assert!(matches!(nothing, Err(FateError::Io(_) | FateError::NeverArrived { .. })));
}

#[test]
fn a_scene_within_a_scene_is_refused() {
    let said = assert_survives!(|| {
        let error = fate_of(|| {}).unwrap_err();
        print!("{error}");
    });
    assert!(said.contains("do not nest them"), "{said}");
}

#[test]
fn a_grandchild_is_its_own_master() {
    // It inherits the variable, and has arrived nowhere.
    let said = assert_survives!(|| {
        let tests = support::this_program()
            .args(["fate::what_the_scene_changes_stays_there", "--exact"])
            .output()
            .unwrap();
        assert!(tests.status.success());
        std::io::stdout().write_all(b"played").unwrap();
    });
    assert_eq!(said, "played");
}

#[test]
fn so_is_one_that_was_started_before_the_call() {
    // Of what a runner hands on the child knows nothing: there it takes the call for its own.
    if std::env::var_os("EPIPE_RUNNER").is_some() {
        return;
    }
    let tests = support::this_program()
        .args(["fate::what_the_scene_changes_stays_there", "--exact"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tests.stdout);
    assert!(tests.status.success(), "{said}");
    assert_survives!(|| {});
}

#[test]
fn so_is_one_that_the_scene_starts_with_the_same_arguments() {
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
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("behind the call"), "{said}");
    });
    println!("behind the call");
}

#[test]
fn a_scene_may_forbid_to_open_anything_more() {
    assert_survives!(|| {
        support::forbid_descriptors();
        io::pipe().unwrap_err();
    });
}

#[test]
fn a_child_of_the_scene_does_not_hold_up_the_parent() {
    // It keeps the standard streams open, for longer than a scene may take.
    #[expect(clippy::zombie_processes, reason = "it outlives its parent")]
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
