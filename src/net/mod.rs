//! Sockets that report a vanished peer as an error, never as a signal.
//!
//! Like [`std::net`]: the socket types are ours, and the other names are std's.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use std::io::{IoSlice, Read, Write};
//!
//! use epipe::net::{Shutdown, TcpListener, TcpStream}; // was: std::net
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let mut client = TcpStream::connect(listener.local_addr()?)?;
//! let (mut server, _) = listener.accept()?; // protected too
//! client.write_all(b"a request")?;
//! client.shutdown(Shutdown::Write)?;
//! let mut request = String::new();
//! server.read_to_string(&mut request)?;
//! drop(client);
//! for _ in 0..100 {
//!     // With std's stream, this write can raise SIGPIPE. In a C host that kills the process.
//!     if let Err(error) = server.write_vectored(&[IoSlice::new(b"an answer")]) {
//!         println!("the client is gone: {error}");
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod tcp_listener;
mod tcp_stream;
mod udp_socket;

#[doc(no_inline)]
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
    ToSocketAddrs,
};

pub use tcp_listener::{Incoming, IntoIncoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp_socket::UdpSocket;
