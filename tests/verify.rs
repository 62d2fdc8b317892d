//! `protection` and `verify`, as far as no liar is at work: those are `tests/sigpipe`'s.

#![allow(missing_docs, reason = "a test")]

use std::io;

use epipe::verify::{Call, Error, Protection, Rung};
use epipe::{protection, verify};

fn spelled(rungs: &[Rung]) -> String {
    let names: Vec<_> = rungs.iter().map(Rung::to_string).collect();
    names.join(", else ")
}

#[test]
fn it_reads_as_a_small_table() {
    let protection = protection();
    let foreign = match protection.foreign_write() {
        [] => "nothing: put sigpipe::suppressed around it".into(),
        rungs => spelled(rungs),
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
fn every_seat_of_ours_ends_in_a_guard_or_needs_none() {
    let protection = protection();
    let seats = [
        protection.socket_send(),
        protection.pipe_write(),
        protection.sendfile(),
    ];
    for seat in seats {
        let last = seat.last().expect("something protects");
        let guards = [Rung::ThreadMask, Rung::ProcessHandler, Rung::NotNeeded];
        assert!(guards.contains(last), "{protection}");
        // A guard refuses nothing: what stood behind it would never be tried.
        assert!(seat.iter().filter(|rung| guards.contains(rung)).count() == 1);
    }
}

#[test]
fn verify_agrees_with_protection_and_with_itself() {
    match verify() {
        Ok(found) => {
            assert_eq!(found, protection());
            assert_eq!(verify().unwrap(), found);
        }
        // Where the signal goes to the process nothing is asked.
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
    assert!(std::error::Error::source(&error).is_some());

    let (rung, call) = (Rung::SendFlag, Call::SendMsg);
    let told = Error::Lies { rung, call }.to_string();
    assert!(
        told.contains("send_flag") && told.contains("sendmsg"),
        "{told}"
    );
    // Names can be put in columns.
    assert_eq!(format!("{rung:>10}|{call:<8}|"), " send_flag|sendmsg |");
}

#[test]
fn nothing_is_told_of_no_process() {
    let nothing = Protection::default();
    assert!(nothing.socket_send().is_empty() && nothing.pipe_write().is_empty());
}

#[cfg(any(windows, target_os = "wasi"))]
#[test]
fn where_there_is_no_signal_nothing_is_needed() {
    let protection = verify().unwrap();
    for seat in [
        protection.socket_send(),
        protection.foreign_write(),
        protection.pipe_write(),
        protection.sendfile(),
    ] {
        assert_eq!(seat, [Rung::NotNeeded]);
    }
}
