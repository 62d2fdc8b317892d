//! rustls over this crate's stream. Cut at any byte, it is not killed, and does not take a
//! truncation for the end.

#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
))]
#![allow(missing_docs, reason = "a test")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use epipe_testing::{Rerun, assert_killed, assert_survives};
use rustls::{ClientConnection, ConnectionCommon, ServerConnection, SideData, StreamOwned};

#[path = "../../support/sweep.rs"]
mod driver;
#[path = "scenes/tls.rs"]
#[allow(dead_code, reason = "the scenes use all of it")]
mod tls;

use driver::{Ended, PAYLOAD, Report, Sides, stride};

/// How a side judges the end of its stream.
type Judge = fn(io::Result<Vec<u8>>) -> Ended;

/// The correct way: an error is an error.
fn strict(answer: io::Result<Vec<u8>>) -> Ended {
    answer.map_err(|error| {
        let expected =
            [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(expected.contains(&error.kind()), "{error:?}");
        error.to_string()
    })
}

fn goodbye<C, D, S>(tls: &mut StreamOwned<C, S>)
where
    C: std::ops::DerefMut<Target = ConnectionCommon<D>>,
    D: SideData,
    S: Read + Write,
{
    tls.conn.send_close_notify();
    // The other side notices a loss here.
    let _ = tls.flush();
}

/// Both sides over a stream that `adopt` makes.
fn sides<S: Read + Write + 'static>(adopt: fn(TcpStream) -> S, judge: Judge) -> Sides {
    // Ed25519: its signatures, and so all exchanges, have a constant length.
    let identity = tls::Identity::ed25519();
    let (server, client) = (identity.server(), identity.client());
    Sides {
        client: Box::new(move |stream| {
            let conn = ClientConnection::new(client.clone(), tls::localhost()).unwrap();
            let mut tls = StreamOwned::new(conn, adopt(stream));
            let mut answer = Vec::new();
            let outcome = tls
                .write_all(&PAYLOAD)
                .and_then(|()| tls.flush())
                .and_then(|()| tls.read_to_end(&mut answer).map(drop));
            goodbye(&mut tls);
            judge(outcome.map(|()| answer))
        }),
        server: Box::new(move |stream| {
            let conn = ServerConnection::new(server.clone()).unwrap();
            let mut tls = StreamOwned::new(conn, adopt(stream));
            let mut request = vec![0; PAYLOAD.len()];
            let outcome = tls
                .read_exact(&mut request)
                .and_then(|()| tls.write_all(&PAYLOAD))
                .and_then(|()| {
                    goodbye(&mut tls);
                    tls.read_to_end(&mut request).map(drop)
                });
            judge(outcome.map(|()| request))
        }),
    }
}

/// A sweep takes longer than other tests.
fn run(test: &str) -> Rerun {
    let run = Rerun::test(test).unwrap();
    run.timeout(Duration::from_secs(1500))
}

fn assert_none_is_fooled(report: &Report) {
    assert!(report.fooled.is_empty(), "{:#?}", report.fooled);
    assert!(report.complete > 0 && report.noticed > report.cuts);
}

#[test]
fn rustls_cut_at_any_byte_survives_and_is_not_fooled() {
    let run = || run("rustls_cut_at_any_byte_survives_and_is_not_fooled");
    let output = assert_survives!(run(), || {
        let report = driver::sweep(&sides(epipe::net::TcpStream::from, strict), stride());
        assert_none_is_fooled(&report);
        println!("rustls: {report:?}");
    });
    print!("{output}");
    assert_killed!(run(), || drop(driver::sweep(&sides(|std| std, strict), stride())));
}

#[test]
fn a_side_that_accepts_every_end_is_fooled() {
    // The sweep would find such a side.
    let lax: Judge = |answer| match answer {
        Ok(received) => Ok(received),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    };
    let report = driver::sweep(&sides(epipe::net::TcpStream::from, lax), 331);
    assert!(report.fooled.len() > report.cuts / 4, "{report:?}");
}
