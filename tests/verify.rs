//! `protection` and `verify`, where no flag is silently ignored. Ignored flags are in
//! `tests/sigpipe`.

#![allow(missing_docs, reason = "a test")]

use std::io;

use epipe::verify::{Call, Error, Technique};
use epipe::{protection, verify};

#[cfg(unix)]
#[allow(dead_code, reason = "the library's own")]
#[path = "../src/sys"]
mod sys {
    pub mod technique;
    pub mod trust;
}

fn spelled(techniques: &[Technique]) -> String {
    let names: Vec<_> = techniques.iter().map(Technique::to_string).collect();
    names.join(", else ")
}

#[test]
fn it_reads_as_a_small_table() {
    let protection = protection();
    let foreign = match protection.foreign_write() {
        [] => "nothing: put sigpipe::suppressed around it".into(),
        techniques => spelled(techniques),
    };
    let table = format!(
        "socket send    {}\nforeign write  {foreign}\npipe write     {}\nsendfile       {}",
        spelled(protection.socket_send()),
        spelled(protection.pipe_write()),
        spelled(protection.sendfile()),
    );
    assert_eq!(protection.to_string(), table);
}

#[test]
fn every_list_ends_in_a_guard_or_needs_none() {
    let protection = protection();
    let lists = [protection.socket_send(), protection.pipe_write(), protection.sendfile()];
    for list in lists {
        let last = list.last().expect("the list has a technique");
        let guards = [Technique::ThreadMask, Technique::ProcessHandler, Technique::NotNeeded];
        assert!(guards.contains(last), "{protection}");
        // A guard is never refused, so a technique after it would never be tried.
        assert!(list.iter().filter(|technique| guards.contains(technique)).count() == 1);
    }
}

#[test]
fn verify_agrees_with_protection_and_with_itself() {
    match verify() {
        Ok(found) => {
            assert_eq!(found, protection());
            assert_eq!(verify().unwrap(), found);
        }
        // Where the signal goes to the process, nothing is tested.
        Err(Error::CannotAsk(error)) => assert_eq!(error.kind(), io::ErrorKind::Unsupported),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn errors_name_what_they_are_about() {
    fn is_an_error<T: std::error::Error + Send + Sync + 'static>() {}
    is_an_error::<Error>();
    let error = Error::CannotAsk(io::Error::other("no sockets here"));
    assert!(error.to_string().contains("no sockets here"));

    let (technique, call) = (Technique::SendFlag, Call::SendMsg);
    let message = Error::SilentlyIgnored { technique, call }.to_string();
    assert!(message.contains("send_flag") && message.contains("sendmsg"), "{message}");
    // A width puts the names in columns.
    assert_eq!(format!("{technique:>10}|{call:<8}|"), " send_flag|sendmsg |");
}

#[cfg(any(windows, target_os = "wasi"))]
#[test]
fn where_there_is_no_signal_nothing_is_needed() {
    let protection = verify().unwrap();
    for list in [
        protection.socket_send(),
        protection.foreign_write(),
        protection.pipe_write(),
        protection.sendfile(),
    ] {
        assert_eq!(list, [Technique::NotNeeded]);
    }
}

#[cfg(unix)]
#[test]
fn a_refused_flag_stays_refused() {
    use sys::trust::{Found, Trust};

    // Another thread finds that the flag is ignored, while this one still tests it.
    static TRUST: Trust = Trust::new(false);
    assert!(TRUST.is_unproven());
    TRUST.ask(|| {
        TRUST.note(Found::Refused);
        Found::Honoured
    });
    assert!(TRUST.is_refused() && !TRUST.is_honoured());

    // A flag that works now can be refused later.
    static LATER: Trust = Trust::new(false);
    LATER.ask(|| Found::Honoured);
    assert!(LATER.is_honoured());
    LATER.ask(|| panic!("the flag was tested already"));
    LATER.note(Found::Nothing);
    assert!(LATER.is_honoured());
    LATER.note(Found::Refused);
    assert!(LATER.is_refused());
}

#[cfg(unix)]
#[test]
fn a_test_that_cannot_be_made_is_tried_less_and_less_often() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static TRUST: sys::trust::Trust = sys::trust::Trust::new(false);
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let mut asked_at = Vec::new();
    for occasion in 1..=100 {
        let before = ASKED.load(Ordering::Relaxed);
        TRUST.ask(|| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            sys::trust::Found::Nothing
        });
        if ASKED.load(Ordering::Relaxed) > before {
            asked_at.push(occasion);
        }
    }
    assert_eq!(asked_at, [1, 2, 4, 8, 16, 32, 64]);
}
