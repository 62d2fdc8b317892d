//! Which break provokes which server: the table of the docs, as far as it is certain.

use std::io::{self, Read as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use epipe_testing::{Break, Peer, Script, assert_killed, assert_survives, wait_fin, wait_reset};

use crate::SOON;
use crate::support::foreign_write;

/// What a server does after it has read the request, until a write fails.
#[derive(Clone, Copy)]
enum Step {
    Think,
    /// It ends if the client has.
    Look,
    Write(usize),
}

use Step::{Look, Think, Write};

const REQUEST: &[u8] = b"GET /";

/// The columns: how a client asks and vanishes, and whether it is dropped while the server thinks.
const CLIENTS: [(Break, bool); 4] = [
    (Break::FinThenReset(0), false),
    (Break::FinThenReset(1), false),
    (Break::FinThenReset(u64::MAX), true),
    (Break::ResetAfter(0), false),
];

const DIES: Option<bool> = Some(true);
const LIVES: Option<bool> = Some(false);
/// It is a matter of luck, or there is no such moment.
const EITHER: Option<bool> = None;

/// A server, and what each client does to it.
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
    // A client that has vanished may have taken its request along.
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

/// One client, and the server of it.
fn play(steps: &'static [Step], script: Script, drops: bool, write: Writes) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (thinks, thinking) = sync_channel(1);
    // The client that is dropped meanwhile may be late: no server is quicker.
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
        // A server that sees the end first says nothing more.
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
                // Of a server that is quick not each time.
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
