//! Endings: [`close_gracefully`], which destroys nothing that is still on its way, and [`reset`],
//! which destroys it all.
//!
//! Just to drop a TCP stream is a matter of luck. If something of the peer's is unread, or arrives
//! afterwards, the system answers with a reset, and the peer's system may throw away what it had
//! received and not yet read: the very answer that was sent last. It happens to every server that
//! answers before it has read all, as with "413 Content Too Large".

use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use socket2::{SockRef, Type};

use crate::sys::{self, AsSocket};
use crate::{Disconnect, queue};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The peer has ended too, and has acknowledged all that was sent, where the system reports
    /// that: of a Unix stream it reports the end alone. Whether its application has read it is not
    /// known.
    Clean,
    /// The peer, or this side's system, has reset the connection: what was sent last may be lost.
    Reset,
    /// The connection was over before, and no error waits: both sides had ended, or an earlier call
    /// has reported a reset. The system does not say which.
    Over,
    /// The deadline came first. What is unacknowledged stays on its way; if the peer sends more, a
    /// reset destroys it.
    TimedOut {
        /// How many bytes of ours the peer's system had not acknowledged; `None` where the system
        /// does not report it.
        unacknowledged: Option<usize>,
    },
    /// The peer has sent more than [`DRAIN_LIMIT`], and did not end. The close will be a reset.
    Flooded {
        /// As in [`TimedOut`](Ending::TimedOut).
        unacknowledged: Option<usize>,
    },
}

/// How many bytes [`close_gracefully`] takes from the peer, 64 MiB: to read for ever would be the
/// peer's to decide.
pub const DRAIN_LIMIT: usize = 64 << 20;

/// Closes a stream, TCP or Unix, so that no reset of this side destroys what it has sent: ends the
/// sending half, throws away what the peer still sends until its end, and closes. nginx calls it a
/// lingering close.
///
/// It blocks the thread, until `deadline` at the most. What has arrived by then is still taken, for
/// unread data would make the close a reset. Of a stream that is passed by reference it does all
/// but the close, which comes when its owner drops it. **For TLS**, send close_notify first (see
/// [`Disconnect`]), and pass the socket: what comes from the peer is not decrypted.
///
/// ```
/// use std::io::Write;
/// use std::time::{Duration, Instant};
///
/// use epipe_util::close::{Ending, close_gracefully};
/// # use epipe::net::TcpStream;
/// # let listener = epipe::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut client = TcpStream::connect(listener.local_addr()?)?;
/// # client.write_all(b"a long request that nobody reads")?;
/// # client.shutdown(std::net::Shutdown::Write)?;
/// # let (mut stream, _) = listener.accept()?;
///
/// stream.write_all(b"HTTP/1.1 413 Content Too Large\r\n\r\n")?;
/// let ending = close_gracefully(stream, Instant::now() + Duration::from_secs(5))?;
/// # assert_eq!(ending, Ending::Clean);
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// `NotConnected` of a stream that never was (a Unix stream: `InvalidInput`), `InvalidInput` of a
/// socket that is no stream, and what the system says of a handle that is no socket. An end that
/// the peer brought about is no error, but an [`Ending`].
///
/// `InvalidInput` also for a non-blocking stream, as those of tokio are: this would stop a
/// runtime's other tasks until `deadline`. (Windows does not report it.)
#[cfg_attr(feature = "tokio", doc = "There call [`close_gracefully_async`].")]
#[cfg_attr(not(feature = "tokio"), doc = "There call `close_gracefully_async` (feature `tokio`).")]
/// Outside a runtime, call `set_nonblocking(false)` first.
///
/// # Limits
///
/// The connection ends when its last handle does: a `try_clone`, or a child that has inherited it,
/// keeps it open. Where the receiving half was shut down before, an end of the peer's is not waited
/// for. A stream that is still connecting is given up. The linger time is off afterwards, and on
/// Windows the stream is non-blocking, also of one that is passed by reference.
pub fn close_gracefully(stream: impl AsSocket, deadline: Instant) -> io::Result<Ending> {
    sys::refuse_nonblocking(&stream, "close_gracefully_async")?;
    let drain = || {
        let was_over = begin(&stream)?;
        let mut buffer = [MaybeUninit::uninit(); PIECE];
        let mut room = DRAIN_LIMIT;
        loop {
            match sys::receive_by(&stream, &mut buffer, deadline)? {
                0 if was_over => return over(&stream),
                0 => break,
                received if received > room => return Ok(flooded(&stream)),
                received => room -= received,
            }
        }
        acknowledged(queue::wait_blocking(&stream, deadline))
    };
    drain().or_else(|error| ending(&stream, error))
}

/// Like [`close_gracefully`], and the runtime's other tasks go on meanwhile.
///
/// It takes the sockets of tokio and of `epipe::tokio`, and `&mut` of each. **Flush first** what
/// buffers in front of the socket. If the future is dropped before it is ready, so is the stream,
/// as by a plain close.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use epipe_util::close::{Ending, close_gracefully_async};
/// # async fn f(stream: tokio::net::TcpStream) -> std::io::Result<()> {
///
/// match close_gracefully_async(stream, Instant::now() + Duration::from_secs(5)).await? {
///     Ending::Clean => {}
///     other => println!("the answer may be lost: {other:?}"),
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Those of [`close_gracefully`], but a non-blocking stream is none.
///
/// # Panics
///
/// Outside a runtime of tokio's with its timer, as `tokio::time::sleep` does.
#[cfg(feature = "tokio")]
pub async fn close_gracefully_async<S>(mut stream: S, deadline: Instant) -> io::Result<Ending>
where
    S: tokio::io::AsyncRead + AsSocket + Unpin,
{
    let drain = async {
        let was_over = begin(&stream)?;
        let mut buffer = vec![MaybeUninit::uninit(); PIECE]; // not in the future
        let mut room = DRAIN_LIMIT;
        loop {
            let read = std::future::poll_fn(|cx| {
                let mut piece = tokio::io::ReadBuf::uninit(&mut buffer);
                let answer = std::pin::Pin::new(&mut stream).poll_read(cx, &mut piece);
                answer.map_ok(|()| piece.filled().len())
            });
            let received = match tokio::time::timeout_at(deadline.into(), read).await {
                Ok(answer) => answer?,
                // tokio may not know yet of what has arrived. This does not wait any more.
                Err(_) => sys::receive_by(&stream, &mut buffer, deadline)?,
            };
            match received {
                0 if was_over => return over(&stream),
                0 => break,
                received if received > room => return Ok(flooded(&stream)),
                received => room -= received,
            }
        }
        acknowledged(queue::wait_acknowledged_async(&stream, deadline).await)
    };
    let drained = drain.await;
    drained.or_else(|error| ending(&stream, error))
}

/// How much one read takes.
const PIECE: usize = 16 << 10;

/// Ends the sending half; returns whether the connection was over before, or never was, which the
/// next read reports.
fn begin(stream: &impl AsSocket) -> io::Result<bool> {
    let socket = SockRef::from(stream);
    if socket.r#type()? != Type::STREAM {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // With a linger time of zero the close would be a reset.
    match socket.set_linger(None) {
        // So says XNU once both directions are shut (uipc_socket.c sosetoptlock).
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        answer => answer?,
    }
    match socket.shutdown(Shutdown::Write) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(true),
        Err(error) => Err(error),
    }
}

/// What ended a connection that was over before. Behind the peer's end a read does not report the
/// reset that came next (Linux tcp.c tcp_recvmsg).
fn over(stream: &impl AsSocket) -> io::Result<Ending> {
    Ok(match SockRef::from(stream).take_error()? {
        Some(_) => Ending::Reset,
        None => Ending::Over,
    })
}

fn flooded(stream: &impl AsSocket) -> Ending {
    Ending::Flooded { unacknowledged: queue::unacknowledged(stream).ok() }
}

fn acknowledged(answer: io::Result<()>) -> io::Result<Ending> {
    match answer {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(Ending::Clean),
    }
}

fn ending(stream: &impl AsSocket, error: io::Error) -> io::Result<Ending> {
    match Disconnect::from_error(&error) {
        Some(_) => Ok(Ending::Reset),
        // Not the peer's silence, which is a disconnect, but our deadline.
        None if error.kind() == io::ErrorKind::TimedOut => {
            Ok(Ending::TimedOut { unacknowledged: queue::unacknowledged(stream).ok() })
        }
        None => Err(error),
    }
}

/// Closes a stream by a reset: what is still on its way is lost, and so may be what the peer has
/// not read yet. It is told `ECONNRESET`; but where this side's sending half was shut down before,
/// it has read the end and may be told nothing.
///
/// **A Unix stream knows no reset**: the peer reads what is there and an end of file, or
/// `ECONNRESET` if it had sent something that was not read.
///
/// # Errors
///
/// What `setsockopt` says of the linger time; the stream is closed all the same.
///
/// # Limits
///
/// As of [`close_gracefully`]: it is the last handle's close that resets.
pub fn reset(stream: impl AsSocket) -> io::Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}
