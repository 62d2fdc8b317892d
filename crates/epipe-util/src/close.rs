//! Two ways to close a stream: [`close_gracefully`] waits until the sent data has arrived and
//! reports if it may be lost, [`reset`] discards it.
//!
//! A plain drop of a TCP stream can lose data. If bytes from the peer are unread, or more of them
//! arrive afterwards, this side's system answers with a reset. The peer's system may then discard
//! what it has received but its application has not read: the answer that was sent last. This
//! happens to every server that answers before it has read the whole request, as with
//! "413 Content Too Large".
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use epipe::net::TcpStream;
//! use epipe_util::close::{DRAIN_LIMIT, Ending, close_gracefully, reset};
//!
//! /// Closes after the last answer, or discards everything if the request was not acceptable.
//! fn close(stream: TcpStream, is_acceptable: bool) -> std::io::Result<()> {
//!     if !is_acceptable {
//!         return reset(stream);
//!     }
//!     match close_gracefully(stream, Instant::now() + Duration::from_secs(5))? {
//!         Ending::Clean | Ending::Over => {}
//!         Ending::Flooded { .. } => println!("the client sent more than {DRAIN_LIMIT} bytes"),
//!         other => println!("the answer may be lost: {other:?}"),
//!     }
//!     Ok(())
//! }
//! # let listener = epipe::net::TcpListener::bind("127.0.0.1:0")?;
//! # for is_acceptable in [true, false] {
//! #     let client = TcpStream::connect(listener.local_addr()?)?;
//! #     client.shutdown(std::net::Shutdown::Write)?;
//! #     close(listener.accept()?.0, is_acceptable)?;
//! # }
//! # std::io::Result::Ok(())
//! ```

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
    /// The peer has ended too. Its system has acknowledged all that was sent, where this side's
    /// system reports that. For a Unix stream only the end is known. Whether the peer's application
    /// has read everything is never known.
    Clean,
    /// The peer, or this side's system, has reset the connection. The data that was sent last may
    /// be lost.
    #[doc(alias = "ECONNRESET")]
    Reset,
    /// The connection was over before, and no error is pending. Either both sides had ended, or an
    /// earlier call has reported a reset. The system does not report which.
    Over,
    /// The deadline came first. Unacknowledged bytes are still being sent. If the peer sends more,
    /// a reset destroys them.
    TimedOut {
        /// The number of sent bytes that the peer's system had not acknowledged. `None` where this
        /// side's system does not report it.
        unacknowledged: Option<usize>,
    },
    /// The peer has sent more than [`DRAIN_LIMIT`] and did not end. The close will be a reset.
    Flooded {
        /// As in [`TimedOut`](Ending::TimedOut).
        unacknowledged: Option<usize>,
    },
}

/// The number of bytes that [`close_gracefully`] reads from the peer at most: 64 MiB.
///
/// Without a limit a peer could keep it reading for ever.
pub const DRAIN_LIMIT: usize = 64 << 20;

/// Closes a TCP or Unix stream so that no reset of this side destroys the data that was sent.
///
/// The [`Ending`] reports whether that succeeded.
///
/// It shuts down the sending half, discards what the peer still sends until the peer ends, and
/// closes. nginx calls this a lingering close.
///
/// It blocks the thread until `deadline` at the latest. Data that has arrived by then is still
/// read, because unread data would turn the close into a reset. A stream that is passed by
/// reference stays open, and its owner closes it.
///
/// **For TLS**, send close_notify first (see [`Disconnect`]) and pass the socket. What comes from
/// the peer is not decrypted.
///
/// ```
/// use std::io::Write;
/// use std::time::{Duration, Instant};
///
/// use epipe_util::close::{Ending, close_gracefully};
/// # use epipe::net::TcpStream;
/// # let listener = epipe::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut client = TcpStream::connect(listener.local_addr()?)?;
/// # client.write_all(b"a long request that is not read")?;
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
/// * `NotConnected`: the stream was never connected. (For a Unix stream: `InvalidInput`.)
/// * `InvalidInput`: the socket is not a stream.
/// * `InvalidInput`: the stream is non-blocking, as tokio's streams are. The call would stop a
///   runtime's other tasks until `deadline`. (Windows does not report this.)
#[cfg_attr(feature = "tokio", doc = "  In a runtime, call [`close_gracefully_async`].")]
#[cfg_attr(
    not(feature = "tokio"),
    doc = "  In a runtime, call `close_gracefully_async` (feature `tokio`)."
)]
///   Elsewhere, call `set_nonblocking(false)` first.
/// * The system's error, if the handle is not a socket.
///
/// If the peer ended or reset the connection, that is not an error but an [`Ending`].
///
/// # Limits
///
/// * The connection ends when its last handle is closed. A `try_clone`, or a child process that has
///   inherited the handle, keeps it open.
/// * If the receiving half was shut down before, it does not wait for the peer's end.
/// * A stream that is still connecting is given up.
/// * Afterwards the linger time is off, and on Windows the stream is non-blocking. This also holds
///   for a stream that is passed by reference.
#[doc(alias("shutdown", "SO_LINGER", "lingering close", "close"))]
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

/// Like [`close_gracefully`], but the runtime's other tasks go on meanwhile.
///
/// It takes the sockets of tokio and of `epipe::tokio`, and `&mut` of each. **Flush first** any
/// buffer in front of the socket. If the future is dropped before it is ready, the stream is closed
/// as by a plain drop.
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
/// Those of [`close_gracefully`], but a non-blocking stream is not an error.
///
/// # Panics
///
/// Outside a tokio runtime with an enabled timer, like `tokio::time::sleep`.
#[cfg(feature = "tokio")]
#[doc(alias("shutdown", "SO_LINGER", "lingering close"))]
pub async fn close_gracefully_async<S>(mut stream: S, deadline: Instant) -> io::Result<Ending>
where
    S: tokio::io::AsyncRead + AsSocket + Unpin,
{
    let drain = async {
        let was_over = begin(&stream)?;
        // On the heap, to keep the future small.
        let mut buffer = vec![MaybeUninit::uninit(); PIECE];
        let mut room = DRAIN_LIMIT;
        loop {
            let read = std::future::poll_fn(|cx| {
                let mut piece = tokio::io::ReadBuf::uninit(&mut buffer);
                let answer = std::pin::Pin::new(&mut stream).poll_read(cx, &mut piece);
                answer.map_ok(|()| piece.filled().len())
            });
            let received = match tokio::time::timeout_at(deadline.into(), read).await {
                Ok(answer) => answer?,
                // tokio may not have seen yet what has arrived. This call no longer waits.
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

/// The most bytes that one read takes.
const PIECE: usize = 16 << 10;

/// Shuts down the sending half.
///
/// Returns whether the connection was over before or never existed; the next read reports which.
fn begin(stream: &impl AsSocket) -> io::Result<bool> {
    let socket = SockRef::from(stream);
    if socket.r#type()? != Type::STREAM {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // A linger time of zero would turn the close into a reset.
    match socket.set_linger(None) {
        // XNU returns this once both directions are shut down (uipc_socket.c sosetoptlock).
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        answer => answer?,
    }
    match socket.shutdown(Shutdown::Write) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(true),
        Err(error) => Err(error),
    }
}

/// How a connection that was over before has ended.
///
/// After the peer's end, a read does not report a later reset (Linux tcp.c tcp_recvmsg).
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
        // This is our deadline. The peer's own timeout is a disconnect, handled above.
        None if error.kind() == io::ErrorKind::TimedOut => {
            Ok(Ending::TimedOut { unacknowledged: queue::unacknowledged(stream).ok() })
        }
        None => Err(error),
    }
}

/// Closes a stream by a reset, and discards all data that is still being sent.
///
/// Data that the peer has received but not read may be lost too. The peer gets `ECONNRESET`. If
/// this side's sending half was shut down before, the peer may have read the end and get no error.
///
/// **A Unix stream has no reset**: the peer reads what is there and then an end of file. If the
/// peer had sent something that this side did not read, it gets `ECONNRESET`.
///
/// ```
/// use std::io::{ErrorKind, Read};
///
/// use epipe::net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// let (server, _) = listener.accept()?;
/// epipe_util::close::reset(server)?;
/// let error = client.read(&mut [0; 100]).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::ConnectionReset);
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// Those of `setsockopt` for the linger time. The stream is closed even then.
///
/// # Limits
///
/// As for [`close_gracefully`]: only the close of the last handle resets the connection.
#[doc(alias("SO_LINGER", "RST"))]
pub fn reset(stream: impl AsSocket) -> io::Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}
