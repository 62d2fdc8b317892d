//! rustls writes all its records by `write_vectored`. Over std's stream this kills the process.
//! Over ours it reports an error.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::DerefMut;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use epipe::NoSigpipe;
use rustls::{ConnectionCommon, SideData, StreamOwned};

use crate::Scene;
use crate::rows::{DATA, break_under};
use crate::support::{Break, tcp_pair};
use crate::tls;

/// A use of the connection after the peer is gone.
#[derive(Clone, Copy)]
enum Does {
    WriteTls,
    CompleteIo,
    StreamOwned,
    CloseNotify,
}

const ALL: [(Does, &str); 4] = [
    (Does::WriteTls, "write_tls"),
    (Does::CompleteIo, "complete_io"),
    (Does::StreamOwned, "StreamOwned: write and flush"),
    (Does::CloseNotify, "close_notify"),
];

fn play<C, D, S>(mut tls: C, mut stream: S, theirs: OwnedFd, does: Does, broken: Break)
where
    C: DerefMut<Target = ConnectionCommon<D>>,
    D: SideData,
    S: Read + Write + AsRawFd,
{
    // SAFETY: the stream lives until the end.
    let ours = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    let queue = |tls: &mut C| tls.writer().write_all(DATA).unwrap();
    let answers = match does {
        Does::WriteTls => break_under(ours, theirs, broken, || {
            queue(&mut tls);
            tls.write_tls(&mut stream).map(|n| n as u64)
        }),
        Does::CompleteIo => break_under(ours, theirs, broken, || {
            queue(&mut tls);
            tls.complete_io(&mut stream).map(|(_, written)| written as u64)
        }),
        Does::CloseNotify => break_under(ours, theirs, broken, || {
            tls.send_close_notify();
            tls.write_tls(&mut stream).map(|n| n as u64)
        }),
        Does::StreamOwned => {
            let mut stream = StreamOwned::new(tls, stream);
            break_under(ours, theirs, broken, || {
                stream.write_all(DATA)?;
                stream.flush().map(|()| 0)
            })
        }
    };
    assert_eq!(answers.last().unwrap(), "EPIPE");
}

fn connected<S>(adopt: fn(TcpStream) -> S) -> io::Result<(S, TcpStream)> {
    let (ours, theirs) = tcp_pair("127.0.0.1:0")?;
    Ok((adopt(ours.into()), theirs.into()))
}

fn as_client<S: Read + Write + AsRawFd>(
    adopt: fn(TcpStream) -> S,
    does: Does,
    broken: Break,
) -> io::Result<()> {
    let (mut ours, theirs) = connected(adopt)?;
    let (tls, theirs) = tls::client(&mut ours, theirs);
    play(tls, ours, theirs.into(), does, broken);
    Ok(())
}

fn as_server<S: Read + Write + AsRawFd>(
    adopt: fn(TcpStream) -> S,
    does: Does,
    broken: Break,
) -> io::Result<()> {
    let (mut ours, theirs) = connected(adopt)?;
    let (tls, theirs) = tls::server(&mut ours, theirs);
    play(tls, ours, theirs.into(), does, broken);
    Ok(())
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for broken in [Break::Rst, Break::RstRead, Break::Fin, Break::FinRst] {
        for (does, name) in ALL {
            // A close_notify is sent only once, and the first write to a peer that has closed
            // succeeds.
            if matches!((does, broken), (Does::CloseNotify, Break::Fin)) {
                continue;
            }
            let client = format!("rustls client {broken:?}: {name}");
            let server = format!("rustls server {broken:?}: {name}");
            scenes.extend([
                Scene::survives(&client, move || {
                    as_client(epipe::net::TcpStream::from, does, broken).unwrap();
                }),
                Scene::survives(format!("{client}, by NoSigpipe"), move || {
                    as_client(|s| NoSigpipe::new(s).unwrap(), does, broken).unwrap();
                }),
                Scene::dies(format!("{client}: control"), move || {
                    as_client(|s| s, does, broken).unwrap();
                }),
                Scene::survives(&server, move || {
                    as_server(epipe::net::TcpStream::from, does, broken).unwrap();
                }),
                Scene::dies(format!("{server}: control"), move || {
                    as_server(|s| s, does, broken).unwrap();
                }),
            ]);
        }
    }
    scenes
}
