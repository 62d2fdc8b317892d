//! The kit's side of a connection. A thread of its own holds it.

use std::cell::Cell;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::sys::{self, Interest, Ready};

/// How long the kit waits for a receiver that takes nothing. (It waits for an answer without this
/// limit.)
/// (Linux delays an acknowledgement by 40 to 200 ms.)
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// The longest time for a connect.
const CONNECT: Duration = Duration::from_secs(5);
/// The pauses between two checks whether bytes have arrived: no event reports that.
pub(super) const SHORTEST: Duration = Duration::from_micros(200);
pub(super) const LONGEST: Duration = Duration::from_millis(20);
/// The buffer size that slow sides ask for. The system may give more.
const SMALL: usize = 4096;

/// Cancels a thread: poll reports a hang-up when the owner drops the other end.
pub(super) type Cancel = PipeReader;

/// A thread. Dropping this cancels it and waits for its end.
#[derive(Debug)]
pub(super) struct Worker {
    cancel: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(
        name: &str,
        work: impl FnOnce(Cancel) + Send + 'static,
    ) -> io::Result<Worker> {
        let (cancel, owner) = io::pipe()?;
        let thread = thread::Builder::new().name(name.into()).spawn(move || work(cancel))?;
        Ok(Worker { cancel: Some(owner), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.cancel = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic.
            let _ = thread.join();
        }
    }
}

/// The state of all bytes sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Arrived,
    Gone,
    /// The other side takes them too slowly.
    Late,
}

/// A non-blocking stream socket: its thread also waits for the cancellation.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    pub(super) is_tcp: bool,
    /// A FIN was sent, which the kernel counts among the bytes.
    fin_sent: Cell<bool>,
}

impl Connection {
    pub(super) fn new(socket: Socket) -> io::Result<Connection> {
        let is_tcp = prepare(&socket, false)?;
        Ok(Connection::of(socket, is_tcp))
    }

    /// Takes a caller's socket. Gives it back if it is not a connected stream socket.
    pub(super) fn holding(socket: Socket, slow: bool) -> Result<Connection, (Socket, io::Error)> {
        let is_tcp = is_stream(&socket).and_then(|()| prepare(&socket, slow));
        match is_tcp {
            Ok(is_tcp) => Ok(Connection::of(socket, is_tcp)),
            Err(error) => Err((socket, error)),
        }
    }

    fn of(socket: Socket, is_tcp: bool) -> Connection {
        Connection { socket, is_tcp, fin_sent: Cell::new(false) }
    }

    /// Connects to the first address that answers.
    pub(super) fn connect(
        addresses: &[SockAddr],
        slow: bool,
        with_greeting: bool,
        cancel: &Cancel,
    ) -> io::Result<Connection> {
        let mut last = io::ErrorKind::InvalidInput.into();
        for address in addresses {
            match Connection::connect_to(address, slow, with_greeting, cancel) {
                Err(error) => last = error,
                connected => return connected,
            }
        }
        Err(last)
    }

    fn connect_to(
        address: &SockAddr,
        slow: bool,
        with_greeting: bool,
        cancel: &Cancel,
    ) -> io::Result<Connection> {
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        if slow {
            make_slow(&socket)?;
        }
        if with_greeting && !address.is_unix() {
            sys::connect_with_the_first_bytes(&socket)?;
        }
        socket.set_nonblocking(true)?;
        match socket.connect(address) {
            Err(error) if error.raw_os_error() == Some(sys::IN_PROGRESS) => {
                // With a deadline: a listener's queue may be full.
                let deadline = Instant::now() + CONNECT;
                let watched = [(socket.as_fd(), Interest::Write), (cancel.as_fd(), Interest::Read)];
                let [ready, cancelled] = sys::poll(watched, Some(deadline))?;
                check(cancelled)?;
                if !ready.writable() && !ready.gone() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                if let Some(error) = socket.take_error()? {
                    return Err(error);
                }
            }
            answer => answer?,
        }
        Connection::new(socket)
    }

    /// Waits until the socket is ready, or the connection has ended. An error if cancelled.
    pub(super) fn wait(&self, interest: Interest, cancel: &Cancel) -> io::Result<Ready> {
        loop {
            let [ready, cancelled] =
                sys::poll([(self.as_fd(), interest), (cancel.as_fd(), Interest::Read)], None)?;
            check(cancelled)?;
            if ready.readable() || ready.writable() || ready.gone() {
                return Ok(ready);
            }
        }
    }

    /// Waits until the socket can be read or written, as asked. The connection's end counts as
    /// both. `None` when the deadline has passed.
    pub(super) fn wait_for(
        &self,
        [read, write]: [bool; 2],
        cancel: &Cancel,
        deadline: Option<Instant>,
    ) -> io::Result<Option<[bool; 2]>> {
        let interest = |wanted: bool, interest| if wanted { interest } else { Interest::Nothing };
        let watched = [
            (self.as_fd(), interest(read, Interest::Read)),
            (self.as_fd(), interest(write, Interest::Write)),
            (cancel.as_fd(), Interest::Read),
        ];
        let [from, to, cancelled] = sys::poll(watched, deadline)?;
        check(cancelled)?;
        let ready = [from.readable() || from.gone(), to.writable() || to.gone()];
        Ok(ready.contains(&true).then_some(ready))
    }

    pub(super) fn read(&self, buf: &mut [u8], cancel: &Cancel) -> io::Result<usize> {
        loop {
            match (&self.socket).read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(Interest::Read, cancel)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    pub(super) fn send(
        &self,
        mut bytes: &[u8],
        at_a_time: usize,
        cancel: &Cancel,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(&bytes[..bytes.len().min(at_a_time)], false) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(Interest::Write, cancel)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for a byte and leaves it unread. `false` at the end of the stream.
    pub(super) fn wait_unread(&self, cancel: &Cancel) -> io::Result<bool> {
        self.wait(Interest::Read, cancel)?;
        self.has_unread()
    }

    /// Whether a readable connection has a byte, and not its end.
    pub(super) fn has_unread(&self) -> io::Result<bool> {
        self.socket.peek(&mut [MaybeUninit::uninit()]).map(|n| n > 0)
    }

    pub(super) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buf)
    }

    /// With `more`, the bytes may wait for the FIN behind them.
    pub(super) fn try_write(&self, buf: &[u8], more: bool) -> io::Result<usize> {
        sys::send(&self.socket, buf, more)
    }

    /// Waits until all bytes sent have arrived, including a FIN: a reset would destroy the rest.
    ///
    /// With `patience`, it gives up when the other side has taken nothing for that time.
    pub(super) fn settle(
        &self,
        patience: Option<Duration>,
        cancel: &Cancel,
    ) -> io::Result<Settled> {
        let mut left = usize::MAX;
        let mut last = Instant::now();
        let mut pause = SHORTEST;
        loop {
            // In this order: after an orderly end between the two calls, the count is zero.
            let is_gone = self.is_gone();
            let now = self.unacknowledged();
            if now == 0 {
                return Ok(Settled::Arrived);
            }
            if is_gone {
                return Ok(Settled::Gone);
            }
            if now < left {
                last = Instant::now();
                pause = SHORTEST;
            }
            left = now;
            if patience.is_some_and(|most| last.elapsed() > most) {
                return Ok(Settled::Late);
            }
            // No event reports an acknowledgement.
            self::pause(pause, cancel)?;
            pause = (pause * 2).min(LONGEST);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.unacknowledged() == 0 || self.is_gone()
    }

    /// The other side is gone: the queue no longer drains.
    fn is_gone(&self) -> bool {
        self.is_tcp && sys::is_closed(self.as_fd())
    }

    /// The number of bytes sent that have not arrived, if the system reports it. A FIN counts as
    /// one byte. Bytes written to a Unix socket have arrived.
    fn unacknowledged(&self) -> usize {
        if !self.is_tcp {
            return 0;
        }
        sys::unacknowledged(self.as_fd())
    }

    /// All bytes are on the wire, including a FIN. On loopback they arrive before all that follows.
    ///
    /// To wait for the acknowledgement would take too long: a quick server has answered by then.
    pub(super) fn has_left(&self) -> bool {
        !self.is_tcp || sys::unsent(self.as_fd()) == 0
    }

    /// The number of bytes that have not arrived, without the FIN.
    pub(super) fn under_way(&self) -> usize {
        self.unacknowledged().saturating_sub(usize::from(self.fin_sent.get()))
    }

    pub(super) fn fin_sent(&self) -> bool {
        self.fin_sent.get()
    }

    /// From now on every end of the connection is a reset, also the end of the process. A Unix
    /// socket has no reset.
    pub(super) fn reset_on_close(&self) -> io::Result<()> {
        if self.is_tcp {
            self.socket.set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self.socket.shutdown(Shutdown::Write) {
            // The other side has already ended the connection.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            answer => {
                self.fin_sent.set(answer.is_ok());
                answer
            }
        }
    }

    /// Closes cleanly: sends a FIN and reads what has arrived, since unread bytes would make the
    /// close a reset. The reads have a limit: some peers send faster than this reads.
    pub(super) fn close(self) -> io::Result<()> {
        if self.is_tcp {
            self.shutdown_write()?;
        } else {
            // Both directions: otherwise the other side sees the end, but can still write until
            // the socket is closed. A process that another thread starts may hold a copy.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        let mut discarded = [0; 4096];
        for _ in 0..1024 {
            if !matches!(self.try_read(&mut discarded), Ok(1..)) {
                break;
            }
        }
        Ok(())
    }
}

/// An error for all but connected stream sockets.
fn is_stream(socket: &Socket) -> io::Result<()> {
    if socket.r#type()? != Type::STREAM {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the testing kit works with stream sockets only",
        ));
    }
    socket.peer_addr().map(drop)
}

/// Whether it is a TCP socket. A handle that is not a socket stays unchanged.
fn prepare(socket: &Socket, slow: bool) -> io::Result<bool> {
    let is_tcp = socket.local_addr()?.as_socket().is_some();
    sys::protect(socket);
    if is_tcp {
        // Each send leaves as its own segment.
        socket.set_tcp_nodelay(true)?;
    }
    if slow {
        make_slow(socket)?;
    }
    socket.set_nonblocking(true)?;
    Ok(is_tcp)
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Connection> for OwnedFd {
    fn from(connection: Connection) -> OwnedFd {
        connection.socket.into()
    }
}

/// An error if cancelled.
pub(super) fn pause(time: Duration, cancel: &Cancel) -> io::Result<()> {
    let [cancelled] = sys::poll([(cancel.as_fd(), Interest::Read)], Some(Instant::now() + time))?;
    check(cancelled)
}

/// The error that ends a thread whose owner is gone. No caller sees it.
pub(super) fn check(cancelled: Ready) -> io::Result<()> {
    if cancelled.gone() || cancelled.readable() {
        return Err(io::Error::other("cancelled"));
    }
    Ok(())
}

pub(super) fn make_slow(socket: &Socket) -> io::Result<()> {
    socket.set_recv_buffer_size(SMALL)?;
    socket.set_send_buffer_size(SMALL)
}

pub(super) fn listen(address: &SockAddr, slow: bool) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    if slow {
        // Before `listen`: the handshake announces the window scale.
        make_slow(&socket)?;
    }
    socket.bind(address)?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub(super) fn accept(listener: &Socket, cancel: &Cancel) -> io::Result<Connection> {
    loop {
        let watched = [(listener.as_fd(), Interest::Read), (cancel.as_fd(), Interest::Read)];
        let [_, cancelled] = sys::poll(watched, None)?;
        check(cancelled)?;
        match listener.accept() {
            Ok((socket, _)) => return Connection::new(socket),
            // The client ended the connection before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if is_again(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// These addresses, if the kit may connect to them.
pub(super) fn on_loopback(addresses: impl ToSocketAddrs) -> io::Result<Vec<SockAddr>> {
    let invalid = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
    let addresses: Vec<_> = addresses.to_socket_addrs()?.collect();
    if let Some(far) = addresses.iter().find(|a| !a.ip().to_canonical().is_loopback()) {
        return Err(invalid(format!(
            "the testing kit works on loopback only: {far} is not a loopback address"
        )));
    }
    if addresses.is_empty() {
        return Err(invalid("there is no address to connect to".into()));
    }
    Ok(addresses.into_iter().map(SockAddr::from).collect())
}

/// Port 0 of loopback: the system chooses a free port.
pub(super) fn any_port(domain: Domain) -> SockAddr {
    let address: SocketAddr = if domain == Domain::IPV6 {
        (std::net::Ipv6Addr::LOCALHOST, 0).into()
    } else {
        (std::net::Ipv4Addr::LOCALHOST, 0).into()
    };
    address.into()
}

/// A temporary directory that only this user can enter. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> io::Result<Directory> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("epipe-{}-{number}", process::id()));
            match private(&path) {
                Ok(()) => return Ok(Directory(path)),
                // A former process with this number left it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let message =
                        format!("cannot create the directory {}: {error}", path.display());
                    return Err(io::Error::new(error.kind(), message));
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

impl Drop for Directory {
    fn drop(&mut self) {
        // After an error it stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}
