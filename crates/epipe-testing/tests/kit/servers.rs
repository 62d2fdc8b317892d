//! Which break kills which server: the certain results of the table in the docs.

use std::io::{self, Read as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use epipe_testing::{Break, Peer, Script, assert_killed, assert_survives, wait_fin, wait_reset};

use crate::SOON;
use crate::support::foreign_write;

/// One step of a server after it has read the request. A failed write ends the server.
#[derive(Clone, Copy)]
enum Step {
    Think,
    /// Ends the server if the client has ended.
    Look,
    Write(usize),
}

use Step::{Look, Think, Write};

const REQUEST: &[u8] = b"GET /";

/// The columns: how a client vanishes, and whether it is dropped while the server thinks.
const CLIENTS: [(Break, bool); 4] = [
    (Break::FinThenReset(0), false),
    (Break::FinThenReset(1), false),
    (Break::FinThenReset(u64::MAX), true),
    (Break::ResetAfter(0), false),
];

const DIES: Option<bool> = Some(true);
const LIVES: Option<bool> = Some(false);
/// The result depends on timing, or the server does not think.
const EITHER: Option<bool> = None;

/// A server, and the result of each client.
type Row = (&'static [Step], [Option<bool>; 4]);

const TABLE: &[Row] = &[
    (&[Write(100)], [DIES, LIVES, EITHER, LIVES]),
    (&[Think, Write(100)], [DIES, LIVES, DIES, LIVES]),
    (&[Look, Think, Write(100)], [LIVES, LIVES, DIES, LIVES]),
    (&[Think, Look, Write(16 << 20)], [LIVES, DIES, LIVES, LIVES]),
    (&[Write(100), Think, Write(100)], [DIES, DIES, DIES, LIVES]),
];

type Writes = fn(&TcpStream, &[u8]) -> io::Result<usize>;

fn serve(mut stream: &TcpStream, steps: &[Step], thinks: impl Fn(&TcpStream), write: Writes) {
    // The client's reset may have destroyed the request.
    if !matches!(stream.read(&mut [0; 100]), Ok(1..)) {
        return;
    }
    for step in steps {
        match *step {
            Think => thinks(stream),
            Look if wait_fin(&stream, Duration::ZERO).is_ok() => return,
            Look => {}
            Write(size) => {
                let bytes = vec![b'x'; size];
                let mut written = 0;
                while written < size {
                    match write(stream, &bytes[written..]) {
                        Ok(more) => written += more,
                        Err(_) => return,
                    }
                }
            }
        }
    }
}

/// Plays one client and its server.
fn play(steps: &'static [Step], script: Script, drops: bool, write: Writes) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (thinks, thinking) = sync_channel(1);
    // A client that is dropped while the server thinks may be late: this server waits for it.
    let time = if drops { SOON } else { Duration::from_millis(50) };
    let thinks = move |stream: &TcpStream| {
        let _ = thinks.try_send(());
        let _ = wait_reset(stream, time);
    };
    let server = thread::spawn(move || serve(&listener.accept().unwrap().0, steps, thinks, write));
    let peer = Peer::connect(address, script).unwrap();
    if drops {
        thinking.recv_timeout(SOON).unwrap();
    } else {
        // An error is expected: a server that sees the end first may end first.
        let _ = peer.wait_done(SOON);
    }
    drop(peer);
    server.join().unwrap();
}

#[test]
fn each_break_provokes_the_servers_that_the_docs_name() {
    for (steps, fates) in TABLE.iter().copied() {
        for ((breaks, drops), dies) in CLIENTS.into_iter().zip(fates) {
            let Some(dies) = dies else { continue };
            let scene = move |tries: u32, write: Writes| {
                for _ in 0..tries {
                    play(steps, breaks.greeting(REQUEST), drops, write);
                }
            };
            if dies {
                // Many tries: a quick server does not die each time.
                assert_killed!(|| scene(200, |stream, bytes| foreign_write(stream, bytes)));
                assert_survives!(|| scene(2, |stream, bytes| {
                    socket2::SockRef::from(stream).send_with_flags(bytes, libc::MSG_NOSIGNAL)
                }));
            } else {
                assert_survives!(|| scene(2, |stream, bytes| foreign_write(stream, bytes)));
            }
        }
    }
}
