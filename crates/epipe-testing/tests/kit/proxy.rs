//! A proxy cuts at its byte, in both directions.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use epipe_testing::{Break, Cut, Proxy, WaitError, wait_fin, wait_reset};

use crate::support::{RESET, spell};
use crate::{SOON, rounds};

/// All bytes that one side has received, and how they ended.
type Received = (Vec<u8>, String);

fn receive(mut stream: impl Read) -> Received {
    let mut received = Vec::new();
    let end = stream.read_to_end(&mut received).map(drop);
    (received, spell(&end))
}

fn request() -> Vec<u8> {
    (0..3000_u32).map(|n| n as u8).collect()
}

fn answer() -> Vec<u8> {
    (0..5000_u32).map(|n| (n * 7) as u8).collect()
}

/// A listener, and a server that reads the whole request and then answers.
fn server() -> (TcpListener, fn(TcpListener) -> Received) {
    fn serve(listener: TcpListener) -> Received {
        let (mut stream, _) = listener.accept().unwrap();
        let received = receive(&stream);
        let _ = stream.write_all(&answer());
        received
    }
    (TcpListener::bind("127.0.0.1:0").unwrap(), serve)
}

/// Passes a request and an answer through a proxy. Returns what the server and the client received.
fn exchange(cut: Cut) -> (Proxy, Received, Received) {
    let (listener, serve) = server();
    let proxy = Proxy::listen(listener.local_addr().unwrap(), cut).unwrap();
    let served = thread::spawn(move || serve(listener));
    let mut client = TcpStream::connect(proxy.address().unwrap()).unwrap();
    let _ = client.write_all(&request());
    let _ = client.shutdown(Shutdown::Write);
    let received = receive(&client);
    let served = served.join().unwrap();
    (proxy, served, received)
}

#[test]
fn without_a_cut_all_is_passed_on() {
    let (proxy, served, received) = exchange(Cut::default());
    assert_eq!(served, (request(), "ok".into()));
    assert_eq!(received, (answer(), "ok".into()));
    let passed = proxy.wait_ended(0, SOON).unwrap();
    assert_eq!((passed.to_server, passed.to_client), (3000, 5000));
    assert!(passed.ended && !passed.cut);
    // There was no other connection.
    let other = proxy.wait_ended(1, Duration::ZERO);
    assert!(matches!(other, Err(WaitError::TimedOut { received: 0 })), "{other:?}");
    assert!(matches!(proxy.wait_broken(&io::stdin(), SOON), Err(WaitError::NeverBreaks)));
}

#[test]
fn each_side_receives_exactly_what_the_cut_counts() {
    for round in 0..rounds() {
        let count = u64::from(round * 61 % 3000);
        let is_reset = |end: &str| ["ECONNRESET", "EPIPE"].contains(&end);

        let (proxy, (served, end), _) = exchange(Cut::to_server(Break::ResetAfter(count)));
        assert_eq!(served, request()[..count as usize]);
        assert!(is_reset(&end), "{end}");
        let passed = proxy.wait_ended(0, SOON).unwrap();
        assert_eq!((passed.to_server, passed.to_client), (count, 0));
        assert!(passed.cut);

        let (proxy, _, (received, end)) = exchange(Cut::to_client(Break::FinAfter(count)));
        assert_eq!(received, answer()[..count as usize]);
        assert_eq!(end, "ok", "over plain TCP the cut looks like the end");
        let passed = proxy.wait_ended(0, SOON).unwrap();
        assert_eq!(passed.to_client, count);

        let (_, _, (received, end)) = exchange(Cut::to_client(Break::FinThenReset(count)));
        assert_eq!(received, answer()[..count as usize]);
        // The FIN came first, but the reset may come before the read.
        assert!(end == "ok" || is_reset(&end), "{end}");

        let (_, (served, end), _) = exchange(Cut::to_server(Break::CloseUnread(count)));
        assert_eq!(served, request()[..count as usize]);
        assert_eq!(end, "ok");
    }
}

#[test]
fn a_half_closed_direction_leaves_the_other_alone() {
    let (proxy, (served, end), received) = exchange(Cut::to_server(Break::HalfClose(1000)));
    assert_eq!((served, end.as_str()), (request()[..1000].to_vec(), "ok"));
    assert_eq!(received, (answer(), "ok".into()));
    let passed = proxy.wait_ended(0, SOON).unwrap();
    assert_eq!((passed.to_server, passed.to_client), (1000, 5000));
    assert!(passed.cut);
}

#[test]
fn a_trickle_loses_nothing() {
    let cut = Cut::to_server(Break::Trickle(7)).and_to_client(Break::Trickle(11));
    let (_proxy, served, received) = exchange(cut);
    assert_eq!(served, (request(), "ok".into()));
    assert_eq!(received, (answer(), "ok".into()));
}

#[test]
fn a_direction_that_stops_does_not_end() {
    let (listener, _) = server();
    let cut = Cut::to_server(Break::StopReading(10));
    let proxy = Proxy::listen(listener.local_addr().unwrap(), cut).unwrap();
    let mut client = TcpStream::connect(proxy.address().unwrap()).unwrap();
    client.write_all(&request()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.read_exact(&mut [0; 10]).unwrap();
    proxy.wait_broken(&client, SOON).unwrap();
    server.set_nonblocking(true).unwrap();
    let nothing = server.read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    // The other direction goes on.
    server.write_all(&answer()).unwrap();
    client.read_exact(&mut answer()).unwrap();
    // The error has the count of the direction that breaks.
    let waits = proxy.wait_ended(0, Duration::ZERO);
    assert!(matches!(waits, Err(WaitError::TimedOut { received: 10 })), "{waits:?}");
    assert!(proxy.connections()[0].cut && !proxy.connections()[0].ended);
}

#[test]
fn after_the_break_has_arrived_a_write_reports_what_the_table_says() {
    for (breaks, first) in [
        (Break::ResetAfter(4), RESET[0]),
        (Break::FinAfter(4), "ok"),
        (Break::FinThenReset(4), "EPIPE"),
    ] {
        for _ in 0..rounds() {
            let (listener, _) = server();
            let address = listener.local_addr().unwrap();
            let proxy = Proxy::listen(address, Cut::to_server(breaks)).unwrap();
            let mut client = TcpStream::connect(proxy.address().unwrap()).unwrap();
            client.write_all(b"four").unwrap();
            let (mut server, _) = listener.accept().unwrap();
            proxy.wait_broken(&client, SOON).unwrap();
            proxy.wait_broken(&server, SOON).unwrap();
            assert_eq!(spell(&client.write(b"lost")), first);
            assert_eq!(spell(&server.write(b"lost")), first);
        }
    }
}

#[test]
fn an_end_without_a_cut_is_passed_on() {
    let (listener, _) = server();
    let proxy = Proxy::listen(listener.local_addr().unwrap(), Cut::default()).unwrap();
    // The client resets, then the server. Bytes are under way each time.
    for side in 0..2 {
        let mut client = TcpStream::connect(proxy.address().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let (gone, other) =
            if side == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
        gone.write_all(b"last words").unwrap();
        other.read_exact(&mut [0; 10]).unwrap();
        let mut other = other.try_clone().unwrap();
        reset(gone.try_clone().unwrap());
        drop((client, server));
        let end = other.read(&mut [0]);
        assert_eq!(spell(&end), "ECONNRESET");
        assert!(!proxy.wait_ended(side, SOON).unwrap().cut);
    }
}

/// Both ends of a connection through a proxy.
fn through(cut: Cut) -> (Proxy, TcpStream, TcpStream) {
    let (listener, _) = server();
    let proxy = Proxy::listen(listener.local_addr().unwrap(), cut).unwrap();
    let client = TcpStream::connect(proxy.address().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (proxy, client, server)
}

fn reset(stream: TcpStream) {
    let now = Some(Duration::ZERO);
    socket2::SockRef::from(&stream).set_linger(now).unwrap();
}

#[test]
fn an_answer_that_came_before_a_reset_is_passed_on() {
    for _ in 0..rounds() {
        // The server does not read the whole request: it answers, and closes with unread bytes.
        let (_proxy, client, mut server) = through(Cut::default());
        thread::scope(|threads| {
            threads.spawn(|| while (&client).write(&[b'x'; 4096]).is_ok() {});
            server.read_exact(&mut [0; 1000]).unwrap();
            server.write_all(&answer()).unwrap();
            drop(server);
            // Either the read or the write meets the reset first. If it is the write, the read
            // finds the end.
            assert_eq!(receive(&client).0, answer());
        });
    }
}

/// Makes the receive buffer small: bytes stay in the sender's buffer.
fn take_little(stream: &TcpStream) {
    let options = socket2::SockRef::from(stream);
    options.set_recv_buffer_size(4096).unwrap();
}

#[test]
fn a_cut_waits_until_its_bytes_have_arrived_however_late_they_are_read() {
    // As much as the proxy's buffer holds, and more than all buffers hold.
    for count in [100_000, 12_000_000] {
        let (proxy, mut client, server) = through(Cut::to_client(Break::ResetAfter(count)));
        if count < 1_000_000 {
            take_little(&client);
        }
        thread::scope(|threads| {
            threads.spawn(|| while (&server).write(&[b'x'; 65536]).is_ok() {});
            let longer_than_its_patience = Duration::from_millis(700);
            proxy.wait_ended(0, longer_than_its_patience).unwrap_err();
            let mut received = vec![0; count as usize];
            client.read_exact(&mut received).unwrap();
            assert_eq!(spell(&client.read(&mut [0])), "ECONNRESET");
        });
        let passed = proxy.wait_ended(0, SOON).unwrap();
        assert!(passed.cut);
        assert_eq!(passed.to_client, count);
    }
}

#[test]
fn a_cut_that_waits_does_not_stop_the_other_direction() {
    let count = 900_000; // more than the client's kernel takes while it does not read
    for breaks in [
        Break::ResetAfter(count),
        Break::FinAfter(count),
        Break::CloseUnread(count),
        Break::FinThenReset(count),
    ] {
        let (proxy, mut client, server) = through(Cut::to_client(breaks));
        client.set_write_timeout(Some(SOON)).unwrap();
        thread::scope(|threads| {
            threads.spawn(|| (&server).write_all(&vec![b'x'; 1 << 20]));
            threads.spawn(|| receive(&server));
            // It writes before it reads.
            client.write_all(&vec![b'x'; 8 << 20]).unwrap();
            client.read_exact(&mut vec![0; count as usize]).unwrap();
            let passed = proxy.wait_ended(0, SOON).unwrap();
            assert!(passed.cut && passed.to_client == count, "{passed:?}");
        });
    }
}

#[test]
fn a_receiver_gone_before_the_bytes_have_arrived_was_not_cut() {
    let count = 100_000;
    let (proxy, client, server) = through(Cut::to_client(Break::ResetAfter(count)));
    take_little(&client);
    (&server).write_all(&vec![b'x'; count as usize]).unwrap();
    proxy.wait_ended(0, Duration::from_millis(100)).unwrap_err();
    reset(client);
    let passed = proxy.wait_ended(0, SOON).unwrap();
    assert!(!passed.cut && passed.to_client < count, "{passed:?}");
    wait_reset(&server, SOON).unwrap();
}

#[test]
fn a_direction_that_discards_ends_in_order() {
    let (proxy, mut client, mut server) = through(Cut::to_client(Break::HalfClose(3)));
    server.write_all(b"three").unwrap();
    assert_eq!(receive(&client), (b"thr".to_vec(), "ok".into()));
    // Now the client's connection has a FIN in each direction.
    client.write_all(b"more").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(receive(&server), (b"more".to_vec(), "ok".into()));
    for _ in 0..10 {
        server.write_all(&answer()).unwrap();
    }
    wait_reset(&server, Duration::from_millis(10)).unwrap_err();
    drop(server);
    let passed = proxy.wait_ended(0, SOON).unwrap();
    assert_eq!((passed.to_server, passed.to_client), (4, 3));
}

#[test]
fn a_sender_whose_receiver_is_gone_sees_a_reset_and_no_end() {
    let (_proxy, mut client, server) = through(Cut::default());
    // Until the proxy waits in a write.
    client.set_nonblocking(true).unwrap();
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_millis(200) {
        if client.write(&[b'x'; 65536]).is_ok() {
            last = Instant::now();
        }
    }
    client.set_nonblocking(false).unwrap();
    // That write reports the reset. A read by the proxy would then find an end without a FIN.
    drop(server);
    assert_eq!(receive(&client).1, "ECONNRESET");
}

#[test]
fn only_bytes_that_arrived_are_counted_and_no_fin() {
    for _ in 0..rounds() {
        // A FIN whose acknowledgement is delayed.
        let (proxy, mut client, mut server) = through(Cut::default());
        client.write_all(b"abc").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server.read_exact(&mut [0; 3]).unwrap();
        reset(server);
        assert_eq!(proxy.wait_ended(0, SOON).unwrap().to_server, 3);
    }
    // A client that has half-closed and reads late: poll reports an end too early.
    let (proxy, mut client, mut server) = through(Cut::default());
    client.shutdown(Shutdown::Write).unwrap();
    let sent = thread::spawn(move || server.write_all(&vec![b'x'; 20_000_000]));
    proxy.wait_ended(0, Duration::from_millis(300)).unwrap_err();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    sent.join().unwrap().unwrap();
    assert_eq!(received.len(), 20_000_000);
    assert_eq!(proxy.wait_ended(0, SOON).unwrap().to_client, 20_000_000);
}

#[test]
fn a_reset_is_passed_on_from_a_side_that_is_no_longer_read() {
    // After a direction has stopped; after a FIN.
    for cut in [Cut::to_server(Break::StopReading(3)), Cut::default()] {
        let (proxy, mut client, mut server) = through(cut);
        client.write_all(b"three").unwrap();
        server.read_exact(&mut [0; 3]).unwrap();
        if cut == Cut::default() {
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(receive(&server).1, "ok");
        }
        reset(client);
        wait_reset(&server, SOON).unwrap();
        proxy.wait_ended(0, SOON).unwrap();
    }
    // Both have closed, and the proxy does not see one of the closes.
    let (proxy, mut client, server) = through(Cut::to_server(Break::StopReading(3)));
    client.write_all(b"three").unwrap();
    drop((client, server));
    proxy.wait_ended(0, SOON).unwrap();
}

#[test]
fn a_proxy_that_is_dropped_while_it_connects_ends_at_once() {
    // A listener whose queue is full: a new client waits.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _first = TcpStream::connect(address).unwrap();
    let proxy = Proxy::listen(address, Cut::default()).unwrap();
    let _client = TcpStream::connect(proxy.address().unwrap()).unwrap();
    while proxy.connections().is_empty() {
        thread::yield_now();
    }
    let begun = Instant::now();
    drop(proxy);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn many_connections_are_cut_in_the_same_way() {
    let (listener, _) = server();
    let cut = Cut::to_server(Break::FinAfter(3));
    let proxy = Proxy::listen(listener.local_addr().unwrap(), cut).unwrap();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = TcpStream::connect(proxy.address().unwrap()).unwrap();
            client.write_all(b"12345").unwrap();
            client
        })
        .collect();
    for _ in &clients {
        let (server, _) = listener.accept().unwrap();
        assert_eq!(receive(&server), (b"123".to_vec(), "ok".into()));
    }
    for (number, client) in clients.iter().enumerate() {
        wait_fin(client, SOON).unwrap();
        assert_eq!(proxy.wait_ended(number, SOON).unwrap().to_server, 3);
    }
}

#[test]
fn unix_sockets_and_ipv6_also_work() {
    let path = std::env::temp_dir().join(format!("epipe-proxied-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let proxy = Proxy::listen_unix(&path, Cut::to_client(Break::ResetAfter(4))).unwrap();
    let client = UnixStream::connect(proxy.path().unwrap()).unwrap();
    let served: JoinHandle<io::Result<()>> =
        thread::spawn(move || listener.accept()?.0.write_all(&answer()));
    let (received, _) = receive(&client);
    assert_eq!(received, answer()[..4]);
    proxy.wait_broken(&client, SOON).unwrap();
    let _ = served.join().unwrap();
    std::fs::remove_file(&path).unwrap();

    let listener = TcpListener::bind("[::1]:0").unwrap();
    let proxy = Proxy::listen(listener.local_addr().unwrap(), Cut::default()).unwrap();
    assert!(proxy.address().unwrap().is_ipv6());
}

#[test]
fn a_server_that_is_not_there_resets_the_client() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::listen(closed, Cut::default()).unwrap();
    let client = TcpStream::connect(proxy.address().unwrap()).unwrap();
    assert_eq!(receive(&client).1, "ECONNRESET");
    assert_eq!(proxy.wait_ended(0, SOON).unwrap().to_server, 0);

    let far = Proxy::listen("192.0.2.1:9", Cut::default()).unwrap_err();
    assert_eq!(far.kind(), ErrorKind::InvalidInput);
}
