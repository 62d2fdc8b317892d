//! The parts of a table of scenes: rows and pairs. `tests/ecosystem` builds its tables from them
//! too.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::process::{ChildStdin, Command, Stdio};

use socket2::SockRef;

use crate::Scene;
use crate::scene::is_child;
use crate::support::{Break, foreign_write, raises, spell, wait_for_reset};

/// A call that can be repeated.
pub type Call = Box<dyn FnMut() -> io::Result<u64>>;

/// A call of ours, and the same call without protection.
pub struct Row {
    pub name: &'static str,
    pub ours: fn(OwnedFd) -> Call,
    pub control: fn(OwnedFd) -> Call,
}

/// `Type: handle => call`: takes over the descriptor as a `Type`, then makes the call.
macro_rules! call {
    ($type:ty: $handle:ident => $call:expr) => {
        |fd| {
            #[allow(unused_mut)]
            let mut $handle = <$type>::from(fd);
            Box::new(move || ($call).map(|n| n as u64))
        }
    };
}
pub(crate) use call;

pub const DATA: &[u8] = b"a record";

/// Breaks a connection under a call, and repeats the call until it reports the vanished peer.
fn play(pair: Pair, broken: Break, call: fn(OwnedFd) -> Call) {
    let (ours, theirs) = pair().unwrap();
    let fd = ours.as_raw_fd();
    let call = call(ours);
    // SAFETY: `call` owns the descriptor and lives until the end.
    let answers = break_under(unsafe { BorrowedFd::borrow_raw(fd) }, theirs, broken, call);
    assert_eq!(answers, broken.answers());
}

/// The same for a connection that is already in use. Returns what the calls report. `call` holds
/// `ours`.
pub fn break_under(
    ours: BorrowedFd<'_>,
    theirs: OwnedFd,
    broken: Break,
    mut call: impl FnMut() -> io::Result<u64>,
) -> Vec<String> {
    broken.apply(ours, theirs).unwrap();
    let mut answers = Vec::new();
    while answers.last().is_none_or(|last| last != "EPIPE") && answers.len() < 3 {
        let answer = call();
        if answer.is_ok() {
            wait_for_reset(ours); // the written data causes the reset
        }
        answers.push(spell(&answer));
    }
    answers
}

pub type Pair = fn() -> io::Result<(OwnedFd, OwnedFd)>;

/// Whether a plain write to such a socket raises SIGPIPE on this system. On gVisor it does not, so
/// a control cannot die there. A scene's child does not ask.
pub fn socket_raises(pair: Pair) -> bool {
    if is_child() {
        return true;
    }
    let Ok((ours, _theirs)) = pair() else {
        return true; // the scenes will report the reason
    };
    SockRef::from(&ours).shutdown(Shutdown::Write).unwrap();
    raises(|| foreign_write(ours, DATA))
}

/// Plays each row on connections that break in each of these ways.
pub fn play_rows(pair: Pair, family: &str, breaks: &[Break], rows: &[Row]) -> Vec<Scene> {
    let mut scenes = Vec::new();
    let can_die = socket_raises(pair);
    for &broken in breaks {
        for row in rows {
            let (ours, control) = (row.ours, row.control);
            let name = format!("{family} {broken:?}: {}", row.name);
            scenes.push(Scene::survives(&name, move || play(pair, broken, ours)));
            let control = Scene::dies(format!("{name}: control"), move || {
                play(pair, broken, control);
            });
            scenes.push(control.control_only_if(can_die));
        }
    }
    scenes
}

/// `name: expression, control expression;` makes two scenes. The first expression, of this crate,
/// must be `Err(EPIPE)` and leave SIGPIPE neither blocked nor pending. The second must die.
macro_rules! pairs {
    ($($name:literal: $ours:expr, control $control:expr;)+) => {
        vec![$(
            Scene::survives($name, || assert_epipe($ours)),
            Scene::dies(concat!($name, ": control"), || drop($control)),
        )+]
    };
}
pub(crate) use pairs;

/// The stdin of a child that has ended.
pub fn broken_child() -> ChildStdin {
    let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    child.wait().unwrap();
    stdin
}
