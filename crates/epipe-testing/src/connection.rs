//! One side of a connection that the kit holds, in a thread of its own.

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

use crate::sys::{self, Ready, Wish};

/// How long nothing need be taken by a receiver that is not waited for. (Linux puts an
/// acknowledgement off for 40 to 200 ms.)
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// How long a connect may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How often it is looked whether something has arrived: of that no event tells.
pub(super) const SHORTEST: Duration = Duration::from_micros(200);
pub(super) const LONGEST: Duration = Duration::from_millis(20);
/// What slow sides ask for; the system may give more.
const SMALL: usize = 4096;

/// Calls a thread off: it is readable, or rather hung up, when the other end is dropped.
pub(super) type Line = PipeReader;

/// A thread that is called off, and waited for, when this is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    line: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(
        name: &str,
        work: impl FnOnce(Line) + Send + 'static,
    ) -> io::Result<Worker> {
        let (line, hangs_up) = io::pipe()?;
        let thread = thread::Builder::new().name(name.into()).spawn(move || work(line))?;
        Ok(Worker { line: Some(hangs_up), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.line = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic.
            let _ = thread.join();
        }
    }
}

/// What has become of all that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Arrived,
    /// The other side is gone.
    Gone,
    /// The other side takes it too slowly.
    Late,
}

/// A stream socket that never blocks: its thread waits for the line as well.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    pub(super) is_tcp: bool,
    /// The FIN that the kernel counts among the bytes.
    fin_sent: Cell<bool>,
}

impl Connection {
    pub(super) fn new(socket: Socket) -> io::Result<Connection> {
        let is_tcp = prepare(&socket, false)?;
        Ok(Connection::of(socket, is_tcp))
    }

    /// Of somebody's socket, which is given back if it is none, or not connected.
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
        one_breath: bool,
        line: &Line,
    ) -> io::Result<Connection> {
        let mut last = io::ErrorKind::InvalidInput.into();
        for address in addresses {
            match Connection::connect_to(address, slow, one_breath, line) {
                Err(error) => last = error,
                connected => return connected,
            }
        }
        Err(last)
    }

    fn connect_to(
        address: &SockAddr,
        slow: bool,
        one_breath: bool,
        line: &Line,
    ) -> io::Result<Connection> {
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        if slow {
            make_slow(&socket)?;
        }
        if one_breath && !address.is_unix() {
            sys::connect_with_the_first_bytes(&socket)?;
        }
        socket.set_nonblocking(true)?;
        match socket.connect(address) {
            Err(error) if error.raw_os_error() == Some(sys::IN_PROGRESS) => {
                // Not for ever: a listener's queue may be full.
                let deadline = Instant::now() + CONNECT;
                let watched = [(socket.as_fd(), Wish::Write), (line.as_fd(), Wish::Read)];
                let [ready, called_off] = sys::poll(watched, Some(deadline))?;
                check(called_off)?;
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

    /// Waits for a wish, or the end. An error when the line says so.
    pub(super) fn wait(&self, wish: Wish, line: &Line) -> io::Result<Ready> {
        loop {
            let [ready, called_off] =
                sys::poll([(self.as_fd(), wish), (line.as_fd(), Wish::Read)], None)?;
            check(called_off)?;
            if ready.readable() || ready.writable() || ready.gone() {
                return Ok(ready);
            }
        }
    }

    /// Waits for one of two wishes, to read and to write, or the end, which makes both true; `None`
    /// when the time is over.
    pub(super) fn wait_for(
        &self,
        [read, write]: [bool; 2],
        line: &Line,
        deadline: Option<Instant>,
    ) -> io::Result<Option<[bool; 2]>> {
        let wish = |wanted: bool, wish| if wanted { wish } else { Wish::Nothing };
        let watched = [
            (self.as_fd(), wish(read, Wish::Read)),
            (self.as_fd(), wish(write, Wish::Write)),
            (line.as_fd(), Wish::Read),
        ];
        let [from, to, called_off] = sys::poll(watched, deadline)?;
        check(called_off)?;
        let ready = [from.readable() || from.gone(), to.writable() || to.gone()];
        Ok(ready.contains(&true).then_some(ready))
    }

    /// Reads what is there, waiting for it.
    pub(super) fn read(&self, buf: &mut [u8], line: &Line) -> io::Result<usize> {
        loop {
            match (&self.socket).read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(Wish::Read, line)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    /// Sends all of it, some bytes at a time.
    pub(super) fn send(&self, mut bytes: &[u8], at_a_time: usize, line: &Line) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(&bytes[..bytes.len().min(at_a_time)], false) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(Wish::Write, line)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for a byte, and leaves it unread. False at the end of the stream.
    pub(super) fn wait_unread(&self, line: &Line) -> io::Result<bool> {
        self.wait(Wish::Read, line)?;
        self.has_unread()
    }

    /// Whether there is a byte, of a connection that has something to read or its end.
    pub(super) fn has_unread(&self) -> io::Result<bool> {
        self.socket.peek(&mut [MaybeUninit::uninit()]).map(|n| n > 0)
    }

    pub(super) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buf)
    }

    /// With `more` it may leave no sooner than the FIN behind it.
    pub(super) fn try_write(&self, buf: &[u8], more: bool) -> io::Result<usize> {
        sys::send(&self.socket, buf, more)
    }

    /// Waits until all that was sent has arrived, FIN included: a reset would destroy what has not.
    /// Not for longer than its patience since the other side has taken something.
    pub(super) fn settle(&self, patience: Option<Duration>, line: &Line) -> io::Result<Settled> {
        let mut left = usize::MAX;
        let mut last = Instant::now();
        let mut pause = SHORTEST;
        loop {
            // This first: of what ends well in between, nothing is left to count.
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
            // No event tells of an acknowledgement.
            self::pause(pause, line)?;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Nothing that was sent is still under way, or it never arrives.
    pub(super) fn is_settled(&self) -> bool {
        self.unacknowledged() == 0 || self.is_gone()
    }

    /// The other side is gone: what stands in the queue stays there.
    fn is_gone(&self) -> bool {
        self.is_tcp && sys::is_closed(self.as_fd())
    }

    /// How much of what was sent has not arrived, a FIN counted as one, as far as the system tells.
    /// What is written to a Unix socket has arrived.
    fn unacknowledged(&self) -> usize {
        if !self.is_tcp {
            return 0;
        }
        sys::unacknowledged(self.as_fd())
    }

    /// All that was sent is on the wire, FIN included: on loopback it arrives before whatever
    /// follows. Its acknowledgement would take too long: a quick server has answered by then.
    pub(super) fn has_left(&self) -> bool {
        !self.is_tcp || sys::unsent(self.as_fd()) == 0
    }

    /// The same in bytes.
    pub(super) fn under_way(&self) -> usize {
        self.unacknowledged().saturating_sub(usize::from(self.fin_sent.get()))
    }

    pub(super) fn fin_sent(&self) -> bool {
        self.fin_sent.get()
    }

    /// From now on every end of it resets, that of the process too. A Unix socket knows no reset.
    pub(super) fn reset_on_close(&self) -> io::Result<()> {
        if self.is_tcp {
            self.socket.set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self.socket.shutdown(Shutdown::Write) {
            // The other side was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            answer => {
                self.fin_sent.set(answer.is_ok());
                answer
            }
        }
    }

    /// Closes cleanly: FIN, and what has arrived is read, lest the close resets. Not for ever: some
    /// send faster than this reads.
    pub(super) fn close(self) -> io::Result<()> {
        if self.is_tcp {
            self.shutdown_write()?;
        } else {
            // In both directions at once: else the other side, who sees this end, may still write
            // until the socket is closed, and so long as a process that another thread is starting
            // holds a copy of it.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        let mut thrown_away = [0; 4096];
        for _ in 0..1024 {
            if !matches!(self.try_read(&mut thrown_away), Ok(1..)) {
                break;
            }
        }
        Ok(())
    }
}

/// One end of a connection, and not a listener or a datagram socket.
fn is_stream(socket: &Socket) -> io::Result<()> {
    if socket.r#type()? != Type::STREAM {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the testing kit plays with stream sockets only",
        ));
    }
    socket.peer_addr().map(drop)
}

/// Whether it is of TCP. What is no socket is left as it was.
fn prepare(socket: &Socket, slow: bool) -> io::Result<bool> {
    let is_tcp = socket.local_addr()?.as_socket().is_some();
    sys::protect(socket);
    if is_tcp {
        // Each send is a segment of its own.
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

/// Waits so long. An error when the line says so.
pub(super) fn pause(time: Duration, line: &Line) -> io::Result<()> {
    let [called_off] = sys::poll([(line.as_fd(), Wish::Read)], Some(Instant::now() + time))?;
    check(called_off)
}

/// The error that ends a thread whose owner is gone. Nobody sees it.
pub(super) fn check(called_off: Ready) -> io::Result<()> {
    if called_off.gone() || called_off.readable() {
        return Err(io::Error::other("called off"));
    }
    Ok(())
}

/// Small buffers in both directions.
pub(super) fn make_slow(socket: &Socket) -> io::Result<()> {
    socket.set_recv_buffer_size(SMALL)?;
    socket.set_send_buffer_size(SMALL)
}

/// A listening socket, and the address to connect to.
pub(super) fn listen(address: &SockAddr, slow: bool) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    if slow {
        // Before it listens: the window's scale is told at the handshake.
        make_slow(&socket)?;
    }
    socket.bind(address)?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The next connection.
pub(super) fn accept(listener: &Socket, line: &Line) -> io::Result<Connection> {
    loop {
        let watched = [(listener.as_fd(), Wish::Read), (line.as_fd(), Wish::Read)];
        let [_, called_off] = sys::poll(watched, None)?;
        check(called_off)?;
        match listener.accept() {
            Ok((socket, _)) => return Connection::new(socket),
            // It has gone again before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if is_again(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The call may be made again.
pub(super) fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Where the kit may connect to.
pub(super) fn on_loopback(addresses: impl ToSocketAddrs) -> io::Result<Vec<SockAddr>> {
    let invalid = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
    let addresses: Vec<_> = addresses.to_socket_addrs()?.collect();
    if let Some(far) = addresses.iter().find(|a| !a.ip().to_canonical().is_loopback()) {
        return Err(invalid(format!("the testing kit works on loopback only, not with {far}")));
    }
    if addresses.is_empty() {
        return Err(invalid("no address".into()));
    }
    Ok(addresses.into_iter().map(SockAddr::from).collect())
}

/// Any free port of loopback.
pub(super) fn any_port(domain: Domain) -> SockAddr {
    let address: SocketAddr = if domain == Domain::IPV6 {
        (std::net::Ipv6Addr::LOCALHOST, 0).into()
    } else {
        (std::net::Ipv4Addr::LOCALHOST, 0).into()
    };
    address.into()
}

/// A folder of one's own, gone when dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> io::Result<Folder> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("epipe-{}-{number}", process::id()));
            match private(&path) {
                Ok(()) => return Ok(Folder(path)),
                // Of a process that had this number before.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let message = format!("the folder {}: {error}", path.display());
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

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system.
        let _ = fs::remove_dir_all(&self.0);
    }
}
