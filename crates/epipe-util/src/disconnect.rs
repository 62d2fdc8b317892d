use std::error::Error;
use std::io::{self, ErrorKind};

use crate::sys;

/// Why a connection ended: the meaning of an error, or an end of file that came too soon.
///
/// ```
/// use epipe_util::{Disconnect, DisconnectExt};
/// # use std::io::{self, Write};
/// # fn serve(stream: &mut epipe::net::TcpStream) -> io::Result<()> {
/// match stream.write_all(b"answer") {
///     Err(error) if error.is_disconnect() => Ok(()), // the client has gone
///     answer => answer,
/// }
/// # }
///
/// let error = io::Error::from(io::ErrorKind::BrokenPipe);
/// assert_eq!(Disconnect::from_error(&error), Some(Disconnect::BrokenPipe));
/// assert_eq!(error.disconnect(), Some(Disconnect::BrokenPipe));
/// ```
///
/// # Premature or orderly
///
/// An end of file means that the peer sends no more. Only the protocol knows whether the peer has
/// sent everything. Each layer reports it in its own way.
///
/// **TCP and Unix streams**
/// * Orderly: a read returns 0.
/// * Premature: a read or write fails with `ECONNRESET` or `EPIPE`. **A 0 may also be premature**,
///   because a peer that is killed sends a FIN too. Only a length or an end mark of the protocol
///   can decide. If it shows a truncation, return [`Truncated`](Disconnect::Truncated).
///
/// **rustls**
/// * Orderly: close_notify came. `Stream::read` returns 0, and the answer of
///   [`process_new_packets`] has `peer_has_closed()`.
/// * Premature: `Stream::read` fails with `UnexpectedEof`, which is
///   [`Truncated`](Disconnect::Truncated).
///
/// **OpenSSL 3, with its own `SSL_set_fd` or with `epipe_openssl::set_fd`**
/// * Orderly: `SSL_get_error` returns `SSL_ERROR_ZERO_RETURN`.
/// * Premature: it returns `SSL_ERROR_SSL`, and the reason is
///   `SSL_R_UNEXPECTED_EOF_WHILE_READING` (294). A reset is `SSL_ERROR_SYSCALL` with its errno.
///
/// **The `openssl` crate 0.10, and OpenSSL 1.1**
/// * Orderly: as for OpenSSL 3.
/// * Premature: `SSL_ERROR_SYSCALL` without any error. **The crate's `Read` returns 0, as at an
///   orderly end.** `get_shutdown()` shows the difference: it then has no `RECEIVED`.
///
/// With `SSL_OP_IGNORE_UNEXPECTED_EOF` OpenSSL 3 reports every end as orderly.
///
/// # To end a TLS connection in order
///
/// Send close_notify (rustls: `send_close_notify`, then flush; OpenSSL: `SSL_shutdown`). Then
/// [`close_gracefully`](crate::close::close_gracefully) the socket. One call of `SSL_shutdown` is
/// enough for that.
///
/// To wait for the peer's close_notify also, call `SSL_shutdown` *twice*. The first call sends ours
/// and returns 0. The second reads the peer's and returns 1. If the peer is still sending, read its
/// data with `SSL_read` in between.
///
/// * If the peer's close_notify was read before, the first call returns 1.
/// * On a non-blocking socket a call may return -1 with `SSL_ERROR_WANT_READ` or
///   `SSL_ERROR_WANT_WRITE`. Then call it again later.
/// * After `SSL_ERROR_SYSCALL` or `SSL_ERROR_SSL`, `SSL_shutdown` must not be called at all.
///
/// [`process_new_packets`]:
/// https://docs.rs/rustls/0.23/rustls/struct.ConnectionCommon.html#method.process_new_packets
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// `EPIPE`: nothing that is written can arrive.
    ///
    /// Either the peer has closed or reset the connection, perhaps without an earlier error. Or
    /// this side's sending half was shut down.
    #[doc(alias("EPIPE", "ESHUTDOWN", "WSAESHUTDOWN"))]
    #[error("the peer is gone, nothing can be sent any more")]
    BrokenPipe,
    /// `ECONNRESET`: the peer has discarded the connection, with everything that it had not read.
    #[doc(alias("ECONNRESET", "ENETRESET", "WSAECONNRESET"))]
    #[error("the peer has reset the connection")]
    Reset,
    /// `ECONNABORTED`: this side's system has given up the connection, or the connection ended
    /// before it was accepted.
    #[doc(alias("ECONNABORTED", "WSAECONNABORTED"))]
    #[error("the connection was aborted on this side")]
    Aborted,
    /// `ETIMEDOUT`: the peer's system no longer answers.
    ///
    /// The read timeout of a Windows socket has the same code, but the connection goes on. An error
    /// of this kind without a code is a deadline of this program, not a disconnect.
    #[doc(alias("ETIMEDOUT", "WSAETIMEDOUT"))]
    #[error("the peer has not answered in time")]
    TimedOut,
    /// `EHOSTUNREACH`, `ENETUNREACH`, `ENETDOWN`: the network does not reach the peer.
    #[doc(alias("EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN"))]
    #[error("the peer cannot be reached")]
    Unreachable,
    /// `ECONNREFUSED`: no socket listens there. From a *connected* datagram socket it is the answer
    /// to an earlier datagram (see
    /// [`is_transient_for_datagrams`](Disconnect::is_transient_for_datagrams)).
    #[doc(alias("ECONNREFUSED", "WSAECONNREFUSED"))]
    #[error("no socket listens at the peer's address")]
    Refused,
    /// The peer's data ended before its protocol allows it: [`ErrorKind::UnexpectedEof`].
    ///
    /// `read_exact` fails with that kind too. To report a truncation:
    /// `return Err(Disconnect::Truncated.into())`.
    #[doc(alias = "UnexpectedEof")]
    #[error("the peer's data ended too soon")]
    Truncated,
}

impl Disconnect {
    /// Returns why the connection ended, or `None` if the error means something else.
    ///
    /// It looks at the error's code and kind. If these do not mean a disconnect, it looks at the
    /// errors inside, as [`in_chain`](Disconnect::in_chain) does.
    pub fn from_error(error: &io::Error) -> Option<Disconnect> {
        Disconnect::in_chain(error)
    }

    /// Like [`from_error`](Disconnect::from_error), for any error type.
    ///
    /// It looks at each [`io::Error`] in the error's chain of sources, the outermost first. Pass
    /// `&*error` for a `Box<dyn Error>`, and `error.as_ref()` for anyhow's `Error`.
    ///
    /// ```
    /// use epipe_util::Disconnect;
    /// # fn handle() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// #     let inner = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    /// #     Err(std::io::Error::other(inner).into())
    /// # }
    ///
    /// if let Err(error) = handle() {
    ///     match Disconnect::in_chain(&*error) {
    ///         Some(reason) => println!("the client has gone: {reason}"),
    ///         None => eprintln!("{error}"),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors of other crates
    ///
    /// Most errors hold the `io::Error` as a source. The result is then that of the `io::Error`.
    /// This covers most errors of hyper, tungstenite's `Io` and tonic's transport `Error`, also
    /// inside an anyhow error.
    ///
    /// For these errors, turn on a feature of this crate:
    ///
    /// * `hyper`: `is_incomplete_message()` is [`Truncated`](Disconnect::Truncated).
    /// * `hyper`: `is_canceled()` and `is_closed()` are the result of their source, otherwise
    ///   [`BrokenPipe`](Disconnect::BrokenPipe). The connection has ended before the request was
    ///   sent, or before the body was complete.
    /// * `h2`: `is_io()` is the result of its `io::Error`. It is inside hyper's errors of an HTTP/2
    ///   body and inside tonic's `Status`.
    /// * `tungstenite`: `Protocol(ResetWithoutClosingHandshake)` and
    ///   `Protocol(HandshakeIncomplete)` are [`Truncated`](Disconnect::Truncated).
    /// * `tungstenite`: `ConnectionClosed` (an orderly end) and `AlreadyClosed` (an end that an
    ///   earlier call has reported) are [`BrokenPipe`](Disconnect::BrokenPipe).
    ///
    /// A `Status` that a tonic server has sent, and h2's `RST_STREAM` and `GOAWAY`, are `None`: the
    /// peer is there and has answered.
    ///
    /// # Limits
    ///
    /// It follows at most 16 sources. The features recognise hyper 1, h2 0.4 and *one* of
    /// tungstenite 0.29 and 0.30. If cargo has chosen another version for this crate than for your
    /// library, run `cargo update -p tungstenite@0.30 --precise 0.29.0`. (axum 0.8 depends on
    /// 0.29.) A program that ends the task of a hyper connection gets `is_canceled()` as well.
    pub fn in_chain(error: &(dyn Error + 'static)) -> Option<Disconnect> {
        let mut without_io = None;
        let mut next = Some(error);
        // Real chains are a few errors deep. The limit stops at an error that is its own source.
        for _ in 0..16 {
            let Some(this) = next else { break };
            if let Some(&found) = this.downcast_ref::<Disconnect>() {
                return Some(found);
            }
            without_io = without_io.or_else(|| Disconnect::of_foreign(this));
            next = this.source();
            if let Some(error) = this.downcast_ref::<io::Error>() {
                if let Some(found) = Disconnect::of_one(error) {
                    return Some(found);
                }
                // Not `source()`: it skips the error that this one holds.
                next = error.get_ref().map(|inner| inner as _);
            }
        }
        without_io
    }

    /// Like [`from_error`](Disconnect::from_error), but `ENOTCONN` is [`Reset`](Disconnect::Reset).
    ///
    /// It is for a stream that `accept` or `connect` has returned and that this side has not shut
    /// down.
    ///
    /// A client may reset its connection before the server accepts it. Linux still returns the
    /// stream from `accept`. Then `peer_addr` and `shutdown` fail with `ENOTCONN`, and the first
    /// read fails with `ECONNRESET`. A server that logs `peer_addr()?` must not end its accept loop
    /// there.
    ///
    /// For other sockets `from_error` ignores `ENOTCONN`. It then means that the socket was never
    /// connected or that both sides have ended.
    ///
    /// ```
    /// use epipe_util::Disconnect;
    /// # fn f(listener: &epipe::net::TcpListener) -> std::io::Result<()> {
    /// let (stream, _) = listener.accept()?;
    /// match stream.peer_addr() {
    ///     Err(error) if Disconnect::from_connected(&error).is_some() => {} // accept the next one
    ///     answer => println!("{} is here", answer?),
    /// }
    /// # Ok(()) }
    /// ```
    #[doc(alias = "ENOTCONN")]
    pub fn from_connected(error: &io::Error) -> Option<Disconnect> {
        let reset = (error.kind() == ErrorKind::NotConnected).then_some(Disconnect::Reset);
        Disconnect::from_error(error).or(reset)
    }

    /// Returns whether a datagram socket with this error can still be used.
    ///
    /// The error is then about one earlier datagram, or about one receiver. A connected UDP socket
    /// reports `ECONNREFUSED` when no socket received an earlier datagram. (Windows reports
    /// `WSAECONNRESET`.) The receiver may come back, and the socket needs no new `connect`. A loop
    /// over datagrams can therefore go on:
    ///
    /// ```
    /// use epipe_util::DisconnectExt;
    /// # fn f(socket: &epipe::net::UdpSocket) -> std::io::Result<usize> {
    /// # let mut buffer = [0; 1500];
    /// loop {
    ///     match socket.recv(&mut buffer) {
    ///         Err(error) => match error.disconnect() {
    ///             Some(gone) if gone.is_transient_for_datagrams() => {}
    ///             _ => return Err(error),
    ///         },
    ///         received => return received,
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Limits
    ///
    /// If the receiver of a *connected* Unix datagram socket has closed, the socket reports it once
    /// (`ECONNRESET` or `ECONNREFUSED`). On Linux it is not connected afterwards: call `connect`
    /// again.
    pub fn is_transient_for_datagrams(self) -> bool {
        matches!(self, Disconnect::Refused | Disconnect::Reset | Disconnect::Unreachable)
    }

    /// The meaning of another crate's error that has no `io::Error` as its source.
    #[allow(unused_variables, reason = "unused without features")]
    fn of_foreign(error: &(dyn Error + 'static)) -> Option<Disconnect> {
        #[cfg(feature = "hyper")]
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_incomplete_message() {
                return Some(Disconnect::Truncated);
            }
            return (error.is_canceled() || error.is_closed()).then_some(Disconnect::BrokenPipe);
        }
        #[cfg(feature = "h2")]
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return Disconnect::from_error(error.get_io()?);
        }
        #[cfg(has_tungstenite)]
        if let Some(error) = error.downcast_ref::<tungstenite::Error>() {
            use tungstenite::Error::{AlreadyClosed, ConnectionClosed, Protocol};
            use tungstenite::error::ProtocolError as Of;
            return match error {
                ConnectionClosed | AlreadyClosed => Some(Disconnect::BrokenPipe),
                Protocol(Of::ResetWithoutClosingHandshake | Of::HandshakeIncomplete) => {
                    Some(Disconnect::Truncated)
                }
                _ => None,
            };
        }
        None
    }

    fn of_one(error: &io::Error) -> Option<Disconnect> {
        match Disconnect::of_kind(error.kind()) {
            // Other errors have the kind `TimedOut` too. Only the code makes it a disconnect.
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

/// Asks an [`io::Error`] or an [`io::Result`] whether the connection has ended.
///
/// ```
/// use std::io::{self, ErrorKind};
///
/// use epipe_util::{Disconnect, DisconnectExt};
///
/// let written: io::Result<usize> = Err(ErrorKind::ConnectionReset.into());
/// assert!(written.is_disconnect());
/// assert_eq!(written.disconnect(), Some(Disconnect::Reset));
/// assert!(!io::Error::from(ErrorKind::WouldBlock).is_disconnect());
/// ```
pub trait DisconnectExt: sealed::Sealed {
    /// Returns why the connection ended, as [`Disconnect::from_error`] does.
    fn disconnect(&self) -> Option<Disconnect>;

    /// Returns whether the connection has ended, for any reason of [`Disconnect`].
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
