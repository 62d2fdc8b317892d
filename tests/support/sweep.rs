//! The byte sweep: cuts a TLS exchange at every byte, in both directions.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use epipe_testing::{Break, Cut, Passed, Proxy};

const SOON: Duration = Duration::from_secs(30);

/// The payload of the request and of the answer.
pub const PAYLOAD: [u8; 1024] = [b'p'; 1024];

/// How the exchange ended for one side. `Ok`: the side took the received bytes as complete. `Err`:
/// it noticed that something was missing. Everything else is a panic.
pub type Ended = Result<Vec<u8>, String>;

/// A TLS implementation: both sides, each with a connected stream.
///
/// The client sends its payload, reads to the end and sends `close_notify`. The server reads the
/// payload, answers with it, sends `close_notify` and reads to the end.
pub struct Sides {
    pub client: Box<dyn Fn(TcpStream) -> Ended + Sync>,
    pub server: Box<dyn Fn(TcpStream) -> Ended + Sync>,
}

/// The result of a sweep.
#[derive(Debug, Default)]
pub struct Report {
    pub cuts: usize,
    /// The bytes of an exchange that is not cut.
    pub to_server: u64,
    pub to_client: u64,
    /// How often a side had received everything, also the other side's `close_notify`.
    pub complete: usize,
    /// How often a side noticed that something was missing.
    pub noticed: usize,
    /// The cases where a side did not notice: it took a truncation as the end.
    pub fooled: Vec<String>,
}

/// A break at a byte of one direction.
type Plan = (fn(u64) -> Break, Direction, u64);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    ToServer,
    ToClient,
}

/// Cuts at every `stride`-th byte of both directions and at the end of the exchange, by reset and
/// by FIN.
pub fn sweep(sides: &Sides, stride: usize) -> Report {
    let (whole, client, server) = exchange(sides, Cut::default());
    assert_eq!((client.unwrap(), server.unwrap()), (PAYLOAD.into(), PAYLOAD.into()));
    let mut plans: Vec<Plan> = Vec::new();
    for (direction, total) in
        [(Direction::ToServer, whole.to_server), (Direction::ToClient, whole.to_client)]
    {
        for byte in (0..total).step_by(stride).chain([total]) {
            plans.push((Break::ResetAfter, direction, byte));
            plans.push((Break::FinAfter, direction, byte));
        }
    }

    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report {
        cuts: plans.len(),
        to_server: whole.to_server,
        to_client: whole.to_client,
        ..Report::default()
    });
    thread::scope(|threads| {
        // A cut mostly waits.
        for _ in 0..16 {
            threads.spawn(|| {
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = play(sides, *plan);
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    report.judge(*plan, outcome);
                }
            });
        }
    });
    report.into_inner().unwrap()
}

fn play(sides: &Sides, (breaks, direction, byte): Plan) -> (Passed, Ended, Ended) {
    exchange(
        sides,
        match direction {
            Direction::ToServer => Cut::to_server(breaks(byte)),
            Direction::ToClient => Cut::to_client(breaks(byte)),
        },
    )
}

/// One exchange through a proxy: the bytes that it passed on, and the results of client and server.
fn exchange(sides: &Sides, cut: Cut) -> (Passed, Ended, Ended) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::listen(listener.local_addr().unwrap(), cut).unwrap();
    let patient = |stream: TcpStream| {
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    };
    let (client, server) = thread::scope(|threads| {
        let server = threads.spawn(|| (sides.server)(patient(listener.accept().unwrap().0)));
        let stream = TcpStream::connect(proxy.address().unwrap()).unwrap();
        let client = (sides.client)(patient(stream));
        (client, server.join().unwrap())
    });
    (proxy.wait_ended(0, SOON).unwrap(), client, server)
}

impl Report {
    fn judge(&mut self, plan: Plan, (passed, client, server): (Passed, Ended, Ended)) {
        let (breaks, direction, byte) = plan;
        let counted = match direction {
            Direction::ToServer => passed.to_server,
            Direction::ToClient => passed.to_client,
        };
        assert_eq!(counted, byte, "the proxy cut at the requested byte");
        for (side, ended, is_whole) in [
            ("client", client, passed.to_client == self.to_client),
            ("server", server, passed.to_server == self.to_server),
        ] {
            match ended {
                Ok(received) if is_whole && received == PAYLOAD => self.complete += 1,
                Ok(received) => self.fooled.push(format!(
                    "{direction:?} {:?}: the {side} took {} bytes for all, {passed:?}",
                    breaks(byte),
                    received.len()
                )),
                Err(_) => self.noticed += 1,
            }
        }
    }
}

/// The distance between two cuts. `ci/sweep` cuts at every byte.
pub fn stride() -> usize {
    if std::env::var_os("EPIPE_SWEEP").is_some() { 1 } else { 23 }
}
