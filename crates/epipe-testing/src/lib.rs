//! Make a peer vanish at the byte you choose, and find out whether your code survives it. For
//! systems that have SIGPIPE; synchronous, on loopback, without a runtime.
//!
//! A reset that comes at the wrong moment shows nothing, and `cargo test` ignores SIGPIPE: a test
//! of your own code that fails as it should needs both right. This is one, whole; `send_request`
//! stands for your code:
//!
//! ```no_run
//! # fn send_request(stream: &mut std::net::TcpStream) -> std::io::Result<()> {
//! #     std::io::Write::write_vectored(stream, &[std::io::IoSlice::new(b"GET /")]).map(drop)
//! # }
//! use epipe_testing::{Break, Peer};
//! use std::{net::TcpStream, time::Duration};
//!
//! #[test]
//! fn a_vanished_peer_is_an_error() {
//!     epipe_testing::assert_survives!(|| {
//!         let peer = Peer::listen(Break::FinThenReset(0)).unwrap();
//!         let mut stream = TcpStream::connect(peer.address().unwrap()).unwrap();
//!         peer.wait_broken(&stream, Duration::from_secs(5)).unwrap();
//!         let error = send_request(&mut stream).unwrap_err(); // your code
//!         assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
//!     });
//! }
//! ```
//!
//! If `send_request` uses `write_vectored`, the test fails: "the scene should survive: it was
//! killed by SIGPIPE". With [epipe]'s `net::TcpStream` in its place, in your code and in the test,
//! it passes. In `Cargo.toml` (until the first release `path = "…"`):
//!
//! ```toml
//! [dev-dependencies]
//! epipe-testing = "0.1"
//! ```
//!
//! [epipe]: https://crates.io/crates/epipe
//!
//! # A proof has a control
//!
//! Beside the scene that survives stands one that is killed, the same but for the protection. Where
//! no control dies, one of these is missing:
//!
//! * **The peer is gone, and the system knows it**: [`wait_broken`](Peer::wait_broken).
//! * **It is the write that raises.** Over TCP the first one raises after
//!   [`FinThenReset`](Break::FinThenReset) alone; after the other breaks that close, it succeeds or
//!   is told `ECONNRESET`, and the second raises. (If the first succeeds, the reset that it draws
//!   is waited for by [`wait_reset`].) Over a Unix socket the first raises.
//! * **The call is one that raises.** On Linux, of std's streams `write_vectored` does, `write` and
//!   `write_all` do not: std protects these. All writes to a pipe raise, and socket2's, and C's
//!   `write`.
//!
//! ```ignore
//! use std::io::{self, IoSlice, Write};
//! use std::net::SocketAddr;
//! use std::os::fd::AsFd;
//! use std::time::Duration;
//!
//! use epipe_testing::{Break, Peer};
//! use epipe_testing::{assert_killed, assert_survives};
//!
//! fn scene<S: Write + AsFd>(connect: fn(SocketAddr) -> io::Result<S>) {
//!     let peer = Peer::listen(Break::ResetAfter(5)).unwrap();
//!     let mut stream = connect(peer.address().unwrap()).unwrap();
//!     stream.write_all(b"hello").unwrap();
//!     peer.wait_broken(&stream, Duration::from_secs(5)).unwrap();
//!     let lost = [IoSlice::new(b"lost")];
//!     let first = stream.write_vectored(&lost).unwrap_err();
//!     assert_eq!(first.kind(), io::ErrorKind::ConnectionReset);
//!     let second = stream.write_vectored(&lost).unwrap_err();
//!     assert_eq!(second.kind(), io::ErrorKind::BrokenPipe);
//! }
//!
//! #[test]
//! fn a_reset_in_the_middle_is_an_error() {
//!     assert_killed!(|| scene(std::net::TcpStream::connect)); // the control
//!     assert_survives!(|| scene(epipe::net::TcpStream::connect));
//! }
//! ```
//!
//! # Which one
//!
//! | you want | take |
//! |---|---|
//! | a server, or a client, that vanishes at a byte | [`Peer`] |
//! | the same between two programs that must not know, as TLS or HTTP at every byte | [`Proxy`] |
//! | an answer that no peer can provoke: `EINTR`, a short count, `ENOBUFS` | [`Faulty`] |
//! | to know whether code dies of it | [`fate_of`], [`assert_survives!`](crate::assert_survives), [`assert_killed!`](crate::assert_killed) |
//! | to know *which* call of a large program would die of it | [`Watch`] |
//! | to try a server that runs already | the program `epipe-reset` |
//!
//! Asynchronous code is tried in the same way, with a runtime that the scene makes for itself: so
//! the test is a plain `#[test]`, not `#[tokio::test]`, inside of which none can be made. A peer is
//! a thread, so that it breaks while the scene's own thread waits for it:
//!
//! ```ignore
//! #[test]
//! fn an_async_request_survives() {
//!     epipe_testing::assert_survives!(|| {
//!         let runtime = tokio::runtime::Runtime::new().unwrap();
//!         runtime.block_on(async {
//!             let peer = Peer::listen(Break::FinThenReset(0)).unwrap();
//!             let stream = tokio::net::TcpStream::connect(peer.address().unwrap()).await.unwrap();
//!             peer.wait_broken(&stream, Duration::from_secs(5)).unwrap();
//!             let error = send_request(stream).await.unwrap_err(); // your code
//!             assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
//!         });
//!     });
//! }
//! ```
//!
//! # What the next write reports
//!
//! After [`wait_broken`](Peer::wait_broken) this is known, **as long as nobody else reads, writes
//! or asks for `SO_ERROR`** on the handle in between: one of these takes the `ECONNRESET`, and
//! `EPIPE` comes first. (Registering with epoll, or poll, takes nothing.) A write that may raise
//! raises with `EPIPE`, not with `ECONNRESET`.
//!
//! | [`Break`], over TCP | first write | the one after [`wait_reset`] | a read |
//! |---|---|---|---|
//! | [`ResetAfter`](Break::ResetAfter), [`RESET_AT_ACCEPT`](Break::RESET_AT_ACCEPT) | `ECONNRESET` | **`EPIPE`** | what had come, then `ECONNRESET`, then the end |
//! | [`CloseUnread`](Break::CloseUnread), which comes with the byte after | `ECONNRESET` | **`EPIPE`** | the same |
//! | [`FinAfter`](Break::FinAfter) | succeeds, and draws a reset | **`EPIPE`** | what had come, then the end |
//! | [`FinThenReset`](Break::FinThenReset) | **`EPIPE`** | | what had come, then the end |
//! | [`HalfClose`](Break::HalfClose) | succeeds, and so do all | | what had come, then the end |
//! | [`StopReading`](Break::StopReading) | succeeds until the buffers are full, then `EAGAIN`, or blocks | | waits |
//!
//! A read of what had come before the break takes nothing from the error; the read that returns
//! `ECONNRESET` does. Over a Unix socket there is no reset: every break that closes is **`EPIPE`**
//! at the first write, and a read that finds the peer closed with unread data returns `ECONNRESET`.
//! A kernel's word for it all is Linux's, measured on 6.18; the tests of this crate play each row
//! there 10,000 times.
//!
//! # Which break kills which server
//!
//! The server is the code under test, without protection. [`Peer::connect`] is its client: the
//! request is the peer's [greeting](Break::greeting), and the peer vanishes. In 20 tries SIGPIPE
//! killed the server so often (Linux 6.18, two busy cores, a new process for each try):
//!
//! | server | `FinThenReset(0)` | one byte more | `FinThenReset(1)` | dropped | `ResetAfter(0)` |
//! |---|---|---|---|---|---|
//! | answers at once | 19 | 14 | 0 | | 0 |
//! | thinks, answers | 20 | 20 | 0 | 20 | 0 |
//! | looks, thinks, answers | 0 | 0 | 0 | 20 | 0 |
//! | thinks, looks, writes 8 MiB | 0 | 0 | 20 | 0 | 0 |
//! | writes twice, and stops at an error | 20 | 20 | 0 | | 0 |
//! | writes twice, whatever the first write reports | 18 | 19 | 3 | | 17 |
//! | the same, and thinks in between | 20 | 20 | 20 | 20 | 20 |
//! | hyper, and the handler answers at once | 20 | 20 | 0 | | 0 |
//! | hyper, and the handler thinks | 0 | 20 | 0 | 0 | 0 |
//!
//! * *Thinks*: sleeps for 20 ms. *Looks*: asks whether the client has ended, by `POLLRDHUP` or a
//!   peek, and if so gives up.
//! * *One byte more*: the request and the first byte of another. hyper needs it: while the handler
//!   thinks, hyper drops a request that nothing but the end follows.
//! * *Dropped*: `FinThenReset(u64::MAX)`, and `drop(peer)` 10 ms after the request. It is better to
//!   let the handler report over a channel that it thinks, and to drop the peer then. Where the
//!   field is empty, the server does not think.
//! * A server that answers at once may be quicker than the break. Repeat that one: 20 tries are
//!   enough. A [`Proxy`] that cuts at the last byte of the request is nearly as quick as a `Peer`.
//! * Nothing here kills a server that looks immediately before its only small write.
//!
//! # Platforms
//!
//! Run on Linux; on Apple, BSD, Android and the others type-checked. This is there on Linux and
//! Android alone:
//!
//! * a break waits until what was sent before it has arrived; a reset right behind a greeting waits
//!   until the greeting has left;
//! * a greeting and the FIN of [`FinThenReset(0)`](Break::FinThenReset) leave in one segment;
//! * a [`Proxy`] sees the reset of a side that it reads no more;
//! * [`wait_reset`] and [`wait_fin`] sleep in `poll` until the break comes: other systems are asked
//!   once a millisecond;
//! * a FIN is seen behind unread data (on FreeBSD and illumos too);
//! * a [`Watch`] tells a thread's name.
//!
//! Where there is no SIGPIPE the crate is empty.
//!
//! The feature `watch` (on by default) is [`Watch`] alone, which needs the crate `backtrace`.
//!
//! All of it is for tests: threads are spawned for each peer, and the
//! [assert](crate::assert_survives) macros panic.

// The only names of systems outside `sys`: those without SIGPIPE.
#![cfg(all(
    unix,
    not(any(
        target_os = "emscripten",
        target_os = "espidf",
        target_os = "fuchsia",
        target_os = "horizon",
        target_os = "nuttx",
        target_os = "vita",
        target_os = "vxworks",
    ))
))]

#[cfg(feature = "watch")]
mod blame;
mod broken;
mod connection;
mod fate;
mod faulty;
mod peer;
mod proxy;
mod sys;
#[cfg(feature = "watch")]
mod watch;

pub use broken::{Break, Script, WaitError, wait_fin, wait_reset};
#[doc(hidden)]
pub use fate::Judge;
pub use fate::{Fate, FateError, Rerun, fate_of};
pub use faulty::{At, Fault, Faulty, Injected, Operation, Planned};
pub use peer::{HoldError, Peer};
pub use proxy::{Cut, Passed, Proxy};
#[cfg(feature = "watch")]
pub use watch::{Event, Frame, Watch, WatchError};
