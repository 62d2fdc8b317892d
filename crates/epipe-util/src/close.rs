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
use crate::{Disconnect, DisconnectExt, queue};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The peer has ended too, and has acknowledged all that was sent, where the system tells: of a
    /// Unix stream it tells the end alone. That its application has read it is not known.
    Clean,
    /// The peer, or this side's system, has reset the connection: what was sent last may be lost.
    Reset,
    /// The connection was over before, and no error waits: both sides had ended, or it was reset
    /// and an earlier call was told. The system does not say which, but that call did.
    Over,
    /// The deadline came first. What is unacknowledged stays on its way; if the peer sends more, a
    /// reset destroys it.
    TimedOut {
        /// How many bytes of ours the peer's system had not acknowledged; `None` where the system
        /// does not tell.
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
/// It blocks the thread, until `deadline` at the most, also if the stream is non-blocking; what has
/// come by then is still taken, for what is unread would make the close a reset. Of a stream that
/// is passed by reference it does all but the close, which comes when its owner drops it. **For
/// TLS**, send close_notify first (see [`Disconnect`]), and pass the socket: what comes from the
/// peer is not decrypted.
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
/// # Limits
///
/// The connection ends when its last handle does: a `try_clone`, or a child that has inherited it,
/// keeps it open. Where the receiving half was shut down before, an end of the peer's is not waited
/// for. A stream that is still connecting is given up. The linger time is off afterwards, and on
/// Windows the stream is non-blocking, also of one that is passed by reference.
pub fn close_gracefully(stream: impl AsSocket, deadline: Instant) -> io::Result<Ending> {
    let socket = SockRef::from(&stream);
    if socket.r#type()? != Type::STREAM {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // With a linger time of zero the close would be a reset.
    match socket.set_linger(None) {
        // So says XNU once both directions are shut (uipc_socket.c sosetoptlock).
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        answer => answer?,
    }
    let mut was_over = false;
    match socket.shutdown(Shutdown::Write) {
        Ok(()) => {}
        // Ended in both directions, or never begun: the read tells.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => was_over = true,
        Err(error) if error.is_disconnect() => return Ok(Ending::Reset),
        Err(error) => return Err(error),
    }
    let unacknowledged = || queue::unacknowledged(&stream).ok();
    let mut buffer = [MaybeUninit::uninit(); 16 << 10];
    let mut room = DRAIN_LIMIT;
    loop {
        match sys::receive_by(&stream, &mut buffer, deadline) {
            // Behind the peer's end a read is not told of the reset that came next (Linux tcp.c
            // tcp_recvmsg).
            Ok(0) if was_over => {
                return Ok(match socket.take_error()? {
                    Some(_) => Ending::Reset,
                    None => Ending::Over,
                });
            }
            Ok(0) => break,
            Ok(received) if received > room => {
                return Ok(Ending::Flooded { unacknowledged: unacknowledged() });
            }
            Ok(received) => room -= received,
            Err(error) => return ending(error, unacknowledged),
        }
    }
    match queue::wait_acknowledged(&stream, deadline) {
        Ok(()) => Ok(Ending::Clean),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Ending::Clean),
        Err(error) => ending(error, unacknowledged),
    }
}

fn ending(error: io::Error, unacknowledged: impl Fn() -> Option<usize>) -> io::Result<Ending> {
    match Disconnect::from_error(&error) {
        Some(_) => Ok(Ending::Reset),
        // Not the peer's silence, which is a disconnect, but our deadline.
        None if error.kind() == io::ErrorKind::TimedOut => {
            Ok(Ending::TimedOut { unacknowledged: unacknowledged() })
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
