//! `protection` and `verify`, as far as no liar is at work: those are `tests/sigpipe`'s.

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
fn every_seat_of_ours_ends_in_a_guard_or_needs_none() {
    let protection = protection();
    let seats = [protection.socket_send(), protection.pipe_write(), protection.sendfile()];
    for seat in seats {
        let last = seat.last().expect("something protects");
        let guards = [Technique::ThreadMask, Technique::ProcessHandler, Technique::NotNeeded];
        assert!(guards.contains(last), "{protection}");
        // A guard refuses nothing: what stood behind it would never be tried.
        assert!(seat.iter().filter(|technique| guards.contains(technique)).count() == 1);
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

    let (technique, call) = (Technique::SendFlag, Call::SendMsg);
    let told = Error::SilentlyIgnored { technique, call }.to_string();
    assert!(told.contains("send_flag") && told.contains("sendmsg"), "{told}");
    // Names can be put in columns.
    assert_eq!(format!("{technique:>10}|{call:<8}|"), " send_flag|sendmsg |");
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
        assert_eq!(seat, [Technique::NotNeeded]);
    }
}

#[cfg(unix)]
#[test]
fn a_lie_that_is_found_meanwhile_stays_found() {
    use sys::technique::Call;
    use sys::trust::{Trust, is_refusal};

    fn honest() -> io::Result<io::Result<usize>> {
        Ok(Err(io::Error::from_raw_os_error(libc::EPIPE)))
    }

    // Another thread finds the lie while this one still asks about a refusal.
    fn interrupted() -> io::Result<io::Result<usize>> {
        let lie = TRUST.verify(|| Ok(Some(Call::Send)));
        assert_eq!(lie.unwrap(), Some(Call::Send));
        honest()
    }

    static TRUST: Trust = Trust::new(false, interrupted, is_refusal);
    TRUST.ask();
    assert!(TRUST.is_refused() && !TRUST.is_honoured());

    // And an honest answer does not bring the technique back.
    static REFUSED: Trust = Trust::new(true, honest, is_refusal);
    assert_eq!(REFUSED.verify(|| Ok(None)).unwrap(), None);
    assert!(REFUSED.is_refused());
}
