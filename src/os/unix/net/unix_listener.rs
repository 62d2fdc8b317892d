use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use crate::macros::{debug_by_inner, mirror};
use crate::os::unix::net::UnixStream;
use crate::sys::{handle, socket};

/// A Unix listener whose streams report a vanished peer as an error, never as a signal.
///
/// Like [`std::os::unix::net::UnixListener`].
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("epipe-listener-{}", std::process::id()));
/// # let _ = std::fs::remove_file(&path);
/// use std::io::Write;
///
/// use epipe::os::unix::net::{UnixListener, UnixStream};
///
/// let listener = UnixListener::bind(&path)?;
/// # let client = UnixStream::connect(&path)?;
/// let (mut stream, client_address) = listener.accept()?; // one stream
/// # drop(client);
/// # let client = UnixStream::connect(&path)?;
/// for stream in listener.incoming() {
///     // One after the other. An error of the write concerns only this client.
///     if let Err(error) = stream.and_then(|mut stream| stream.write_all(b"hello")) {
///         eprintln!("{error}");
///     }
/// #   break;
/// }
///
/// let other = listener.try_clone()?; // for another thread
/// other.set_nonblocking(true)?; // for both handles
/// println!("{:?} {:?}", other.local_addr()?, other.take_error()?);
///
/// // For code that asks for std's type. **The protection ends here.**
/// let unprotected: std::os::unix::net::UnixListener = other.into_unprotected();
/// # drop(unprotected);
/// # std::fs::remove_file(&path)?;
/// # Ok(())
/// # }
/// ```
///
/// # Limits
///
/// `into_unprotected`, `Into` std's or socket2's type, `Into<OwnedFd>` and `into_raw_fd` end the
/// protection of the streams that it accepts.
pub struct UnixListener {
    inner: std::os::unix::net::UnixListener,
}

impl UnixListener {
    #[inline]
    fn adopt(inner: std::os::unix::net::UnixListener) -> UnixListener {
        // A listener writes nothing, but the sockets that it accepts inherit its option.
        socket::adopt(&inner);
        UnixListener { inner }
    }

    /// Creates a socket file and listens on it. Like [`std::os::unix::net::UnixListener::bind`].
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        std::os::unix::net::UnixListener::bind(path).map(UnixListener::from)
    }

    /// Binds an address and listens on it. Like [`std::os::unix::net::UnixListener::bind_addr`].
    ///
    /// ```
    /// # #[cfg(target_os = "linux")]
    /// # fn main() -> std::io::Result<()> {
    /// use epipe::os::linux::net::SocketAddrExt;
    /// use epipe::os::unix::net::{SocketAddr, UnixListener};
    ///
    /// # let name = format!("epipe-{}", std::process::id());
    /// // A name without a file: on Linux.
    /// let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(target_os = "linux"))]
    /// # fn main() {}
    /// ```
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixListener> {
        std::os::unix::net::UnixListener::bind_addr(socket_addr).map(UnixListener::from)
    }

    /// Waits for a client, and returns its stream and address. Like
    /// [`std::os::unix::net::UnixListener::accept`].
    #[inline]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.inner.accept().map(|(stream, addr)| (stream.into(), addr))
    }

    /// Makes a second handle to the same listener. Like
    /// [`std::os::unix::net::UnixListener::try_clone`].
    pub fn try_clone(&self) -> io::Result<UnixListener> {
        self.inner.try_clone().map(UnixListener::from)
    }

    /// Returns an endless iterator of accepted streams. Like
    /// [`std::os::unix::net::UnixListener::incoming`].
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    mirror! { "std::os::unix::net::UnixListener":
        /// Returns the address that it listens on.
        fn local_addr(&self) -> io::Result<SocketAddr>;
        /// Turns non-blocking mode on or off. Every handle to this socket shares it.
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
        /// Takes the error that the socket has stored (`SO_ERROR`).
        fn take_error(&self) -> io::Result<Option<io::Error>>;
    }
}

debug_by_inner!(UnixListener);
handle::net_conversions!(UnixListener, std::os::unix::net::UnixListener);

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// An endless iterator of accepted streams. Like [`std::os::unix::net::Incoming`].
///
/// ```
/// # fn f(listener: &epipe::os::unix::net::UnixListener) {
/// let streams: epipe::os::unix::net::Incoming<'_> = listener.incoming();
/// # }
/// ```
#[must_use = "iterators are lazy and do nothing unless consumed"]
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    #[inline]
    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
