//! `close_gracefully_async` and `wait_acknowledged_async` have the same results as the blocking
//! functions, and the runtime's other tasks go on meanwhile.

#![allow(missing_docs, reason = "a test")]
#![cfg(all(unix, not(any(target_family = "wasm", target_os = "espidf"))))]

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Instant;

use epipe::net::{TcpListener, TcpStream};
use epipe::os::unix::net::UnixStream;
use epipe_util::close::{Ending, close_gracefully, close_gracefully_async, reset};
use epipe_util::queue::{wait_acknowledged, wait_acknowledged_async};

#[path = "support/deadline.rs"]
mod deadline;
use deadline::{in_, soon};

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// The same stream as a tokio type.
fn of_tokio(stream: TcpStream) -> tokio::net::TcpStream {
    stream.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(stream.into()).unwrap()
}

/// Runs on one thread, so that a blocking call stops every task.
fn on_one_thread<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// Starts a task that ends the client after 1,000 turns. Returns the count of its turns.
fn ends_the_client(client: TcpStream) -> Rc<Cell<u32>> {
    let turns = Rc::new(Cell::new(0));
    let count = turns.clone();
    tokio::task::spawn_local(async move {
        while count.get() < 1000 {
            count.set(count.get() + 1);
            tokio::task::yield_now().await;
        }
        client.shutdown(Shutdown::Write).unwrap();
        std::mem::forget(client); // stays open until the test ends
    });
    turns
}

#[test]
fn other_tasks_go_on_meanwhile_but_not_with_the_blocking_function() {
    on_one_thread(async {
        let (client, server) = tcp();
        let turns = ends_the_client(client);
        let ending = close_gracefully_async(of_tokio(server), soon()).await.unwrap();
        assert_eq!((ending, turns.get()), (Ending::Clean, 1000));

        // Control: the task that would end the client gets no turn.
        let (client, server) = tcp();
        let turns = ends_the_client(client);
        let ending = close_gracefully(server, in_(100)).unwrap();
        assert!(matches!(ending, Ending::TimedOut { .. }), "{ending:?}");
        assert_eq!(turns.get(), 0);
    });
}

#[test]
fn the_blocking_functions_refuse_a_tokio_stream() {
    on_one_thread(async {
        let (_client, server) = tcp();
        let server = of_tokio(server);
        for (error, instead) in [
            (close_gracefully(&server, soon()).unwrap_err(), "close_gracefully_async"),
            (wait_acknowledged(&server, soon()).unwrap_err(), "wait_acknowledged_async"),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(instead), "{error}");
        }
        // The stream still works.
        server.writable().await.unwrap();
        server.try_write(b"x").unwrap();
    });
}

/// What the peer has done when the close begins, and the expected ending.
struct Row {
    name: &'static str,
    prepare: fn() -> (TcpStream, TcpStream),
    deadline: fn() -> Instant,
    ends: fn(&Ending) -> bool,
}

const ROWS: [Row; 8] = [
    Row {
        name: "has sent and ended",
        prepare: || {
            let (mut client, server) = tcp();
            client.write_all(&[0; 100_000]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            (client, server)
        },
        deadline: soon,
        ends: |ending| *ending == Ending::Clean,
    },
    Row {
        name: "has sent and ended, and the deadline is over",
        prepare: || {
            let (mut client, server) = tcp();
            client.write_all(&[0; 100_000]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            // Until everything has arrived.
            while epipe_util::queue::unread(&server).unwrap() < 100_000 {}
            while epipe_util::queue::unacknowledged(&client).unwrap_or(0) > 0 {}
            (client, server)
        },
        deadline: Instant::now,
        ends: |ending| *ending == Ending::Clean,
    },
    Row {
        name: "does not end",
        prepare: tcp,
        deadline: || in_(50),
        ends: |ending| matches!(ending, Ending::TimedOut { .. }),
    },
    Row {
        name: "has reset",
        prepare: || {
            let (client, server) = tcp();
            reset(client.try_clone().unwrap()).unwrap();
            drop(client);
            (tcp().0, server)
        },
        deadline: soon,
        ends: |ending| *ending == Ending::Reset,
    },
    Row {
        name: "has ended and then reset",
        prepare: || {
            let (mut client, mut server) = tcp();
            client.write_all(b"request").unwrap();
            drop(client);
            server.read_exact(&mut [0; 7]).unwrap();
            server.write_all(b"answer").unwrap();
            while server.peer_addr().is_ok() {} // until the reset has arrived
            (tcp().0, server)
        },
        deadline: soon,
        ends: |ending| *ending == Ending::Reset,
    },
    Row {
        name: "has reset, and a write has reported it",
        prepare: || {
            let (client, server) = tcp();
            reset(client).unwrap();
            assert!((&server).write(b"answer").is_err());
            (tcp().0, server)
        },
        deadline: soon,
        ends: |ending| *ending == Ending::Over,
    },
    Row {
        name: "has ended, like this side",
        prepare: || {
            let (client, server) = tcp();
            client.shutdown(Shutdown::Write).unwrap();
            server.shutdown(Shutdown::Both).unwrap();
            while (&client).read(&mut [0]).unwrap() > 0 {}
            (client, server)
        },
        deadline: soon,
        ends: |ending| *ending == Ending::Over,
    },
    Row {
        name: "goes on sending",
        prepare: || {
            let (client, server) = tcp();
            let sends = client.try_clone().unwrap();
            std::thread::spawn(move || while (&sends).write(&[0; 1 << 20]).is_ok() {});
            (client, server)
        },
        deadline: soon,
        ends: |ending| matches!(ending, Ending::Flooded { .. }),
    },
];

#[test]
fn both_functions_have_the_same_ending() {
    for row in ROWS {
        let (client, server) = (row.prepare)();
        let blocking = close_gracefully(server, (row.deadline)()).unwrap();
        drop(client);
        let (client, server) = (row.prepare)();
        let ending = on_one_thread(async {
            close_gracefully_async(of_tokio(server), (row.deadline)()).await.unwrap()
        });
        drop(client);
        assert!((row.ends)(&blocking), "{}: {blocking:?}", row.name);
        assert!((row.ends)(&ending), "{}: {ending:?}, asynchronous", row.name);
    }
}

#[test]
fn unix_streams_and_references_also_end_gracefully() {
    on_one_thread(async {
        let (mut client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut server = tokio::net::UnixStream::from_std(server.into()).unwrap();
        server.writable().await.unwrap();
        server.try_write(b"answer").unwrap();
        client.write_all(b"unread").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(close_gracefully_async(&mut server, soon()).await.unwrap(), Ending::Clean);
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    });
}

#[test]
fn an_unconnected_stream_is_an_error() {
    on_one_thread(async {
        let never = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let never = of_tokio(TcpStream::from(never.unwrap()));
        let error = close_gracefully_async(never, soon()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    });
}

/// The client first reads nothing, and then everything.
#[cfg(target_os = "linux")]
#[test]
fn other_tasks_go_on_while_it_waits_for_acknowledgements() {
    const ANSWER: usize = 1 << 20;
    on_one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&listener).set_send_buffer_size(4 << 20).unwrap();
        let client =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        client.set_recv_buffer_size(8 << 10).unwrap();
        client.connect(&listener.local_addr().unwrap().into()).unwrap();
        let client = of_tokio(TcpStream::from(client));
        let server = of_tokio(listener.accept().unwrap().0);
        server.writable().await.unwrap();
        let sent = server.try_write(&vec![0; ANSWER]).unwrap();
        let error = wait_acknowledged_async(&server, Instant::now()).await.unwrap_err();
        assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::TimedOut, None));

        // The reader is a task of the same thread.
        let reads = tokio::task::spawn_local(async move {
            let mut received = 0;
            while received < sent {
                client.readable().await.unwrap();
                received += client.try_read(&mut [0; 65536]).unwrap_or(0);
            }
            client
        });
        wait_acknowledged_async(&server, soon()).await.unwrap();
        reset(reads.await.unwrap()).unwrap();
    });
}

/// The futures can be passed to `tokio::spawn`.
#[test]
fn the_futures_are_send() {
    fn is_send<T: Send>(_: &T) {}
    on_one_thread(async {
        let (_client, server) = tcp();
        let server = of_tokio(server);
        is_send(&wait_acknowledged_async(&server, soon()));
        is_send(&close_gracefully_async(server, soon()));
        let (_client, server) = tcp();
        let adapted = epipe::NoSigpipe::new(std::net::TcpStream::from(server)).unwrap();
        is_send(&wait_acknowledged_async(adapted, soon()));
    });
}
