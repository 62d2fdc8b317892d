use std::error::Error;
use std::io::{self, ErrorKind};

use crate::sys;

/// Why a connection ended: what an [`io::Error`] says of it, or an end of file that came too soon.
///
/// ```
/// use epipe_util::{Disconnect, DisconnectExt};
/// # use std::io::{self, Write};
/// # fn serve(stream: &mut epipe::net::TcpStream) -> io::Result<()> {
/// match stream.write_all(b"answer") {
///     Err(error) if error.is_disconnect() => Ok(()), // the client's affair
///     answer => answer,
/// }
/// # }
///
/// let error = io::Error::from(io::ErrorKind::BrokenPipe);
/// assert_eq!(Disconnect::from_error(&error), Some(Disconnect::BrokenPipe));
/// ```
///
/// # Premature or orderly
///
/// An end of file says that the peer sends no more, not that it has said all. Whether it has is for
/// the protocol to know, and each layer tells it in another way:
///
/// | layer | orderly | premature |
/// |---|---|---|
/// | TCP, Unix streams | a read returns 0 | a read or write fails: `ECONNRESET`, `EPIPE`. **A 0 may be either**: a peer that is killed sends a FIN too. Only a length, or an end mark, of the protocol tells: [`Truncated`](Disconnect::Truncated) is yours to say |
/// | rustls | close_notify came: `Stream::read` returns 0, [`process_new_packets`] said `peer_has_closed()` | `Stream::read` fails with `UnexpectedEof`: [`Truncated`](Disconnect::Truncated) |
/// | OpenSSL 3, its own `SSL_set_fd` and `epipe_openssl::set_fd` | `SSL_get_error` says `SSL_ERROR_ZERO_RETURN` | `SSL_ERROR_SSL` with the reason `SSL_R_UNEXPECTED_EOF_WHILE_READING` (294); a reset is `SSL_ERROR_SYSCALL` with its errno |
/// | the `openssl` crate 0.10; OpenSSL 1.1 | the same | `SSL_ERROR_SYSCALL` without any error: **the crate's `Read` returns 0, as at an orderly end**. Ask `get_shutdown()`, which then has no `RECEIVED` |
///
/// To end a TLS connection so that the peer can tell: send close_notify (rustls
/// `send_close_notify`, then flush; `SSL_shutdown`), then
/// [`close_gracefully`](crate::close::close_gracefully) the socket. `SSL_shutdown` is called
/// *twice* to wait for the peer's close_notify as well: the first call sends ours and returns 0,
/// the second reads until theirs and returns 1. In between, and if the peer is still sending, its
/// data has to be read by `SSL_read`. Who closes the socket anyway need not call it twice. (Where
/// theirs has been read already, the first call returns 1; a non-blocking socket may ask for
/// another try, by -1 and `SSL_ERROR_WANT_READ` or `SSL_ERROR_WANT_WRITE`.) After
/// `SSL_ERROR_SYSCALL` or `SSL_ERROR_SSL` it must not be called at all. With
/// `SSL_OP_IGNORE_UNEXPECTED_EOF` OpenSSL 3 calls every end orderly.
///
/// [`process_new_packets`]:
/// https://docs.rs/rustls/0.23/rustls/struct.ConnectionCommon.html#method.process_new_packets
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// `EPIPE`: what is written can reach nobody. The peer has closed or reset, and this may be the
    /// first that is told of it; or this side's sending half was shut down.
    #[error("the peer is gone, nothing can be sent any more")]
    BrokenPipe,
    /// `ECONNRESET`: the peer has thrown the connection away, and what it had not read with it.
    #[error("the peer has reset the connection")]
    Reset,
    /// `ECONNABORTED`: this side's system has given it up, or a connection ended before it was
    /// accepted.
    #[error("the connection was aborted on this side")]
    Aborted,
    /// `ETIMEDOUT`: the peer's system has answered nothing any more. Also the read timeout of a
    /// Windows socket, which has the same code and ends nothing. Not an error of that kind without
    /// a code: that is a deadline of this program's.
    #[error("the peer has not answered in time")]
    TimedOut,
    /// No way leads to the peer: `EHOSTUNREACH`, `ENETUNREACH`, `ENETDOWN`.
    #[error("the peer cannot be reached")]
    Unreachable,
    /// `ECONNREFUSED`: nobody listens there. From a *connected* datagram socket it is what an
    /// earlier datagram has drawn: the next may find somebody.
    #[error("nobody listens at the peer's address")]
    Refused,
    /// The peer's bytes ended where its protocol had not: [`ErrorKind::UnexpectedEof`], which
    /// `read_exact` says too. To say it yourself: `return Err(Disconnect::Truncated.into())`.
    #[error("the peer's data ended too soon")]
    Truncated,
}

impl Disconnect {
    /// What an error says of the connection; `None` if it is about something else.
    ///
    /// It looks at the error's code and kind, and if these say nothing, at what is wrapped in it.
    pub fn from_error(error: &io::Error) -> Option<Disconnect> {
        // What a caller wraps is a few deep; a loop of sources would be somebody's mistake.
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        for _ in 0..16 {
            let this = next?;
            if let Some(&found) = this.downcast_ref::<Disconnect>() {
                return Some(found);
            }
            next = this.source();
            if let Some(error) = this.downcast_ref::<io::Error>() {
                if let Some(found) = Disconnect::of_one(error) {
                    return Some(found);
                }
                // Its source would be that of what it holds.
                next = error.get_ref().map(|inner| inner as _);
            }
        }
        None
    }

    fn of_one(error: &io::Error) -> Option<Disconnect> {
        match Disconnect::of_kind(error.kind()) {
            // Of kind `TimedOut` are others too; only the code says.
            None | Some(Disconnect::TimedOut) => {
                Disconnect::of_kind(sys::kind_of_code(error.raw_os_error()?)?)
            }
            found => found,
        }
    }

    fn of_kind(kind: ErrorKind) -> Option<Disconnect> {
        Some(match kind {
            ErrorKind::BrokenPipe => Disconnect::BrokenPipe,
            ErrorKind::ConnectionReset => Disconnect::Reset,
            ErrorKind::ConnectionAborted => Disconnect::Aborted,
            ErrorKind::TimedOut => Disconnect::TimedOut,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                Disconnect::Unreachable
            }
            ErrorKind::ConnectionRefused => Disconnect::Refused,
            ErrorKind::UnexpectedEof => Disconnect::Truncated,
            _ => return None,
        })
    }

    fn kind(self) -> ErrorKind {
        match self {
            Disconnect::BrokenPipe => ErrorKind::BrokenPipe,
            Disconnect::Reset => ErrorKind::ConnectionReset,
            Disconnect::Aborted => ErrorKind::ConnectionAborted,
            Disconnect::TimedOut => ErrorKind::TimedOut,
            Disconnect::Unreachable => ErrorKind::HostUnreachable,
            Disconnect::Refused => ErrorKind::ConnectionRefused,
            Disconnect::Truncated => ErrorKind::UnexpectedEof,
        }
    }
}

impl From<Disconnect> for io::Error {
    fn from(disconnect: Disconnect) -> io::Error {
        io::Error::new(disconnect.kind(), disconnect)
    }
}

/// Asks an error, or a result, whether the connection is at an end.
pub trait DisconnectExt: sealed::Sealed {
    /// Why the connection ended, if this says so.
    fn disconnect(&self) -> Option<Disconnect>;

    /// Whether this says that the connection ended, for whatever reason of [`Disconnect`].
    fn is_disconnect(&self) -> bool {
        self.disconnect().is_some()
    }
}

impl DisconnectExt for io::Error {
    fn disconnect(&self) -> Option<Disconnect> {
        Disconnect::from_error(self)
    }
}

impl<T> DisconnectExt for io::Result<T> {
    fn disconnect(&self) -> Option<Disconnect> {
        Disconnect::from_error(self.as_ref().err()?)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for std::io::Error {}
    impl<T> Sealed for std::io::Result<T> {}
}
