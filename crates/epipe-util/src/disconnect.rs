use std::error::Error;
use std::io::{self, ErrorKind};

use crate::sys;

/// Why a connection ended: what an error says of it, or an end of file that came too soon.
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
/// An end of file says that the peer sends no more. Only the protocol knows whether it has sent
/// everything. Each layer reports it in its own way:
///
/// | layer | orderly | premature |
/// |---|---|---|
/// | TCP, Unix streams | a read returns 0 | a read or write fails: `ECONNRESET`, `EPIPE`. **A 0 may be either**: a peer that is killed sends a FIN too. Only a length, or an end mark, of the protocol can decide: you return [`Truncated`](Disconnect::Truncated) |
/// | rustls | close_notify came: `Stream::read` returns 0, [`process_new_packets`] said `peer_has_closed()` | `Stream::read` fails with `UnexpectedEof`: [`Truncated`](Disconnect::Truncated) |
/// | OpenSSL 3, its own `SSL_set_fd` and `epipe_openssl::set_fd` | `SSL_get_error` says `SSL_ERROR_ZERO_RETURN` | `SSL_ERROR_SSL` with the reason `SSL_R_UNEXPECTED_EOF_WHILE_READING` (294); a reset is `SSL_ERROR_SYSCALL` with its errno |
/// | the `openssl` crate 0.10; OpenSSL 1.1 | the same | `SSL_ERROR_SYSCALL` without any error: **the crate's `Read` returns 0, as at an orderly end**. Ask `get_shutdown()`, which then has no `RECEIVED` |
///
/// To end a TLS connection so that the peer sees an orderly end: send close_notify (rustls
/// `send_close_notify`, then flush; `SSL_shutdown`), then
/// [`close_gracefully`](crate::close::close_gracefully) the socket. `SSL_shutdown` is called
/// *twice* to wait for the peer's close_notify as well: the first call sends ours and returns 0,
/// the second reads until theirs and returns 1. In between, and if the peer is still sending, its
/// data has to be read by `SSL_read`. If you close the socket anyway, one call is enough. (Where
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
    /// `EPIPE`: nothing that is written can arrive. The peer has closed or reset, which no earlier
    /// call may have reported; or this side's sending half was shut down.
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
    /// `ECONNREFUSED`: nothing listens there. From a *connected* datagram socket it is the answer
    /// to an earlier datagram (see
    /// [`is_transient_for_datagrams`](Disconnect::is_transient_for_datagrams)).
    #[error("nobody listens at the peer's address")]
    Refused,
    /// The peer's bytes ended where its protocol had not: [`ErrorKind::UnexpectedEof`], which
    /// `read_exact` says too. To say it yourself: `return Err(Disconnect::Truncated.into())`.
    #[error("the peer's data ended too soon")]
    Truncated,
}

impl Disconnect {
    /// Reports what an error says of the connection; `None` if it is about something else.
    ///
    /// It looks at the error's code and kind. If these say nothing, it looks at what is wrapped in
    /// the error, as [`in_chain`](Disconnect::in_chain) does.
    pub fn from_error(error: &io::Error) -> Option<Disconnect> {
        Disconnect::in_chain(error)
    }

    /// Reports what any error says of the connection: like [`from_error`](Disconnect::from_error)
    /// for each [`io::Error`] in its chain of sources, the outermost first.
    ///
    /// Pass `&*error` for a `Box<dyn Error>`, and `error.as_ref()` for anyhow's `Error`.
    ///
    /// ```
    /// use epipe_util::Disconnect;
    /// # fn handle() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// #     Err(std::io::Error::other(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).into())
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
    /// Most hold the `io::Error` as a source, and need nothing. The others need a feature of this
    /// crate, which is off by default and named in brackets:
    ///
    /// | error | is |
    /// |---|---|
    /// | any that has an `io::Error` in its chain, as most of hyper, tungstenite's `Io`, tonic's transport `Error`; also under anyhow | what that `io::Error` says |
    /// | hyper's `is_incomplete_message()` (`hyper`) | [`Truncated`](Disconnect::Truncated) |
    /// | hyper's `is_canceled()` and `is_closed()` (`hyper`): the request was not sent, or the body not to its end, because the connection has ended | what its source says; else [`BrokenPipe`](Disconnect::BrokenPipe) |
    /// | h2's `is_io()` (`h2`): it is inside hyper's errors of an HTTP/2 body and tonic's `Status` | what its `io::Error` says |
    /// | tungstenite's `Protocol(ResetWithoutClosingHandshake)` and `Protocol(HandshakeIncomplete)` (`tungstenite`) | [`Truncated`](Disconnect::Truncated) |
    /// | tungstenite's `ConnectionClosed` (`tungstenite`): an orderly end. `AlreadyClosed`: one that an earlier call has reported | [`BrokenPipe`](Disconnect::BrokenPipe) |
    /// | a `Status` that the server of tonic has sent, h2's `RST_STREAM` and `GOAWAY` | `None`: the peer is there, and has answered |
    ///
    /// # Limits
    ///
    /// It follows 16 sources. The features recognise hyper 1, h2 0.4 and *one* of tungstenite 0.29
    /// and 0.30. Where cargo has taken another one than your library's (axum 0.8 has 0.29),
    /// `cargo update -p tungstenite@0.30 --precise 0.29.0` makes it one. A program that ends
    /// the task of a hyper connection itself gets `is_canceled()` as well.
    pub fn in_chain(error: &(dyn Error + 'static)) -> Option<Disconnect> {
        let mut without_io = None;
        let mut next = Some(error);
        // What a caller wraps is a few deep. A chain without an end would be a mistake in an error.
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
                // Its source would be that of what it holds.
                next = error.get_ref().map(|inner| inner as _);
            }
        }
        without_io
    }

    /// Like [`from_error`](Disconnect::from_error), for a stream that `accept` or `connect` has
    /// returned and that this side has not shut down: `ENOTCONN` is [`Reset`](Disconnect::Reset).
    ///
    /// A client may reset its connection before the server accepts it. Linux returns the stream
    /// all the same. Then `peer_addr` and `shutdown` fail with `ENOTCONN`, and the first read
    /// with `ECONNRESET`. A server that logs `peer_addr()?` must not end its accept loop there.
    ///
    /// From other sockets `ENOTCONN` says something else, so `from_error` ignores it: the socket
    /// was never connected, or both sides have ended.
    ///
    /// ```
    /// use epipe_util::Disconnect;
    /// # fn f(listener: &epipe::net::TcpListener) -> std::io::Result<()> {
    /// let (stream, _) = listener.accept()?;
    /// match stream.peer_addr() {
    ///     Err(error) if Disconnect::from_connected(&error).is_some() => {} // wait for the next one
    ///     answer => println!("{} is here", answer?),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn from_connected(error: &io::Error) -> Option<Disconnect> {
        let reset = (error.kind() == ErrorKind::NotConnected).then_some(Disconnect::Reset);
        Disconnect::from_error(error).or(reset)
    }

    /// Whether a datagram socket that reports this can be used as before: the error is about one
    /// earlier datagram, or about one receiver.
    ///
    /// A UDP socket that is connected reports `ECONNREFUSED` when nothing listened where an earlier
    /// datagram arrived. (Windows calls it `WSAECONNRESET`.) The receiver may come back, and the
    /// socket needs no new `connect`. So a loop over datagrams goes on:
    ///
    /// ```
    /// use epipe_util::DisconnectExt;
    /// # fn f(socket: &epipe::net::UdpSocket) -> std::io::Result<usize> {
    /// # let mut buffer = [0; 1500];
    /// loop {
    ///     match socket.recv(&mut buffer) {
    ///         Err(error) if error.disconnect().is_some_and(|d| d.is_transient_for_datagrams()) => {}
    ///         answer => return answer,
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Limits
    ///
    /// A *connected* Unix datagram socket whose receiver has closed reports it once (`ECONNRESET`
    /// or `ECONNREFUSED`). On Linux it is not connected afterwards: call `connect` again.
    pub fn is_transient_for_datagrams(self) -> bool {
        matches!(self, Disconnect::Refused | Disconnect::Reset | Disconnect::Unreachable)
    }

    /// What an error of another crate says that has no `io::Error` as its source.
    #[allow(unused_variables, reason = "without features")]
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
