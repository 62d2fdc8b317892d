//! The bytes of a stream that are unsent, unacknowledged or unread, and TCP's own report.
//!
//! The counts are of the caller's bytes. Systems also count the SYN and the FIN; these are
//! subtracted.
//!
//! **No count shows that the peer's application has read anything.** Acknowledged bytes are in the
//! memory of the peer's system, where a crash or a reset can still destroy them. Only an answer of
//! your protocol shows more.
//!
//! ```
//! use std::io::Write;
//! use std::time::{Duration, Instant};
//!
//! use epipe::net::{TcpListener, TcpStream};
//! use epipe_util::queue::{self, TcpInfo, TcpState};
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let mut client = TcpStream::connect(listener.local_addr()?)?;
//! let (server, _) = listener.accept()?;
//! client.write_all(b"request")?;
//!
//! # #[cfg(any(target_os = "linux", target_os = "android"))] {
//! queue::wait_acknowledged(&client, Instant::now() + Duration::from_secs(5))?;
//! assert_eq!(queue::unacknowledged(&client)?, 0);
//! assert_eq!(queue::unsent(&client)?, 0);
//! assert_eq!(queue::unread(&server)?, 7);
//!
//! let info: TcpInfo = queue::tcp_info(&client)?;
//! assert_eq!(info.state, TcpState::Established);
//! println!("round trip {:?}, sent again: {:?} segments", info.rtt, info.retransmits);
//! # }
//! # std::io::Result::Ok(())
//! ```
//!
//! # Platforms
//!
//! | | [`unread`] | [`unacknowledged`] | [`unsent`] | [`tcp_info()`] |
//! |---|---|---|---|---|
//! | Linux, Android | `SIOCINQ` | `SIOCOUTQ` | `SIOCOUTQNSD` | `TCP_INFO` |
//! | Apple | `FIONREAD` | `SO_NWRITE` | – | `TCP_CONNECTION_INFO` |
//! | FreeBSD | `FIONREAD` | `FIONWRITE` | – | `TCP_INFO` |
//! | NetBSD | `FIONREAD` | `FIONWRITE` | – | – |
//! | other Unix | `FIONREAD` | – | – | – |
//! | ESP-IDF, Horizon, NuttX, RTEMS, Vita; not Unix | – | – | – | – |
//!
//! A dash means the error `Unsupported`. [`wait_acknowledged`] works where [`unacknowledged`] does.
//!
//! A Unix stream has no acknowledgements: what is written is with the peer at once. For it only
//! [`unread`] works, because Linux counts memory there and not bytes.
//!
//! Run on Linux. The code for the other systems is type-checked, and written from their sources.
//! Windows may have such counts; they are not used. For MPTCP the FIN is counted.

use std::io;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::sys::{self, AsSocket, queue};

pub use crate::sys::tcp_info::{TcpInfo, TcpState};

/// Returns how many bytes have arrived and are not read yet.
///
/// On Linux it counts only up to urgent data (tcp(7)).
///
/// # Errors
///
/// Those of `ioctl`. `Unsupported` where the system has no such count.
#[doc(alias("SIOCINQ", "FIONREAD", "ioctl"))]
pub fn unread(stream: impl AsSocket) -> io::Result<usize> {
    queue::unread(&stream)
}

/// Returns how many of the bytes written to a TCP stream this side's system has not sent yet.
///
/// # Errors
///
/// * `Unsupported`: the system does not report it, or the socket is not a TCP stream.
/// * `NotConnected`: on Linux, until the handshake is done.
/// * The system's error for a listener, or for a handle that is not a socket.
#[doc(alias("SIOCOUTQNSD", "ioctl"))]
pub fn unsent(stream: impl AsSocket) -> io::Result<usize> {
    queue::unsent(&stream)
}

/// Returns how many of the bytes written to a TCP stream the peer's system has not acknowledged.
///
/// Unsent bytes count too. After a reset ([`TcpState::Close`]) Linux keeps the number, which may
/// then count a FIN. BSDs discard the unacknowledged bytes and count 0.
///
/// # Errors
///
/// Those of [`unsent`].
#[doc(alias("SIOCOUTQ", "TIOCOUTQ", "FIONWRITE", "SO_NWRITE", "ioctl"))]
pub fn unacknowledged(stream: impl AsSocket) -> io::Result<usize> {
    queue::unacknowledged(&stream)
}

/// Waits until the peer's system has acknowledged everything written to a TCP stream.
///
/// No system has an event for this. It asks again and again: first after 50 µs, then less often,
/// and finally every 10 ms.
///
/// # Errors
///
/// * `TimedOut`, without a code: the deadline came first.
/// * The connection is gone and bytes are unacknowledged: the pending error of the socket
///   (`SO_ERROR`). It is taken, and no later call reports it. `ConnectionReset` if an earlier call
///   has reported it.
/// * `InvalidInput`: the stream is non-blocking, as tokio's streams are. The call would block the
///   thread, and with it a runtime's other tasks. (Windows does not report this.)
#[cfg_attr(feature = "tokio", doc = "  In a runtime, call [`wait_acknowledged_async`].")]
#[cfg_attr(
    not(feature = "tokio"),
    doc = "  In a runtime, call `wait_acknowledged_async` (feature `tokio`)."
)]
/// * Those of [`unacknowledged`].
///
/// If all was acknowledged before the connection ended, the result is `Ok` on Linux. FreeBSD,
/// NetBSD and Apple have no count after a reset. There the result is the pending error, or `Ok` if
/// there is none.
#[doc(alias("SO_ERROR", "SIOCOUTQ", "FIONWRITE", "SO_NWRITE"))]
pub fn wait_acknowledged(stream: impl AsSocket, deadline: Instant) -> io::Result<()> {
    sys::refuse_nonblocking(&stream, "wait_acknowledged_async")?;
    wait_blocking(&stream, deadline)
}

pub(crate) fn wait_blocking(stream: &impl AsSocket, deadline: Instant) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    while !is_acknowledged(stream)? {
        std::thread::sleep(next_pause(&mut pause, deadline)?);
    }
    Ok(())
}

/// Like [`wait_acknowledged`], but the runtime's other tasks go on meanwhile.
///
/// It takes any socket: tokio's streams, those of `epipe::tokio`, references to these.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use epipe_util::queue::wait_acknowledged_async;
/// # async fn f(stream: &tokio::net::TcpStream) -> std::io::Result<()> {
///
/// wait_acknowledged_async(stream, Instant::now() + Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Those of [`wait_acknowledged`], but a non-blocking stream is not an error.
///
/// # Panics
///
/// Outside a tokio runtime with an enabled timer, like `tokio::time::sleep`.
#[cfg(feature = "tokio")]
#[doc(alias("SO_ERROR", "SIOCOUTQ", "FIONWRITE", "SO_NWRITE"))]
pub async fn wait_acknowledged_async(stream: impl AsSocket, deadline: Instant) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    while !is_acknowledged(&stream)? {
        tokio::time::sleep(next_pause(&mut pause, deadline)?).await;
    }
    Ok(())
}

const FIRST_PAUSE: Duration = Duration::from_micros(50);

/// How long to wait before the next question. At the deadline an error of kind `TimedOut`.
fn next_pause(pause: &mut Duration, deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let now = (*pause).min(left);
    *pause = (*pause * 2).min(Duration::from_millis(10));
    Ok(now)
}

fn is_acknowledged(stream: &impl AsSocket) -> io::Result<bool> {
    // First, because the connection may end in between. If it ends well, the count below is 0.
    let is_gone = queue::is_closed(stream);
    let waiting_error = || SockRef::from(stream).take_error();
    if queue::unacknowledged(stream)? == 0 {
        return match queue::RESET_EMPTIES_THE_QUEUE {
            true => waiting_error()?.map_or(Ok(true), Err),
            false => Ok(true),
        };
    }
    match is_gone {
        true => Err(waiting_error()?.unwrap_or(io::ErrorKind::ConnectionReset.into())),
        false => Ok(false),
    }
}

/// Returns the system's report of a TCP connection: its state, round-trip time and counts.
///
/// # Errors
///
/// * `Unsupported`: the system has no report, or the socket is not a TCP socket.
/// * The system's error for a handle that is not a socket.
#[doc(alias("TCP_INFO", "TCP_CONNECTION_INFO", "getsockopt"))]
pub fn tcp_info(stream: impl AsSocket) -> io::Result<TcpInfo> {
    queue::tcp_info(&stream)
}
