//! Make a peer vanish at the byte you choose, and find out whether your code survives it.
//!
//! Two things hide this death from an ordinary test: `cargo test` ignores SIGPIPE, and a reset at
//! the wrong moment raises nothing. This test gets both right. `send_request` stands for your code:
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
//! The closure is a *scene*: a child process plays it, with SIGPIPE at its default action. If
//! `send_request` uses `write_vectored`, the test fails: "the scene should survive: it was killed
//! by SIGPIPE". With `epipe::net::TcpStream` in your code and in the test, it passes.
//!
//! ```toml
//! [dev-dependencies]
//! epipe-testing = { path = "…" } # until the first release
//! ```
//!
//! # Which one to use
//!
//! | you want | use |
//! |---|---|
//! | a server or a client that vanishes at a byte | [`Peer`] |
//! | the same between two unchanged programs, such as TLS or HTTP at every byte | [`Proxy`] |
//! | an answer that no peer can provoke: `EINTR`, a short count, `ENOBUFS` | [`Faulty`] |
//! | to know whether SIGPIPE kills code | [`assert_survives!`], [`assert_killed!`] |
//! | to know in which way code ends | [`fate_of`] |
//! | to know *which* call of a large program SIGPIPE would kill | [`Watch`] |
//! | to try a server that already runs | the program `epipe-reset` |
//!
//! All of this is for tests, on loopback: each peer starts a thread, and the assert macros panic.
//!
//! # A proof needs a control
//!
//! Beside the scene that survives, play the same scene without the protection. It must be killed.
//! If it survives, one of these is missing:
//!
//! * **The peer is gone, and the kernel knows it.** Call [`wait_broken`](Peer::wait_broken).
//! * **This write raises.** Over TCP, the first write raises only after [`FinThenReset`]. After the
//!   other breaks that close, the first write succeeds or reports `ECONNRESET`, and the second one
//!   raises. If the first succeeds, call [`wait_reset`] before the second: the first draws a reset.
//!   Over a Unix socket, the first write raises.
//! * **This call can raise.** On Linux, `write_vectored` of std's streams raises. Their `write` and
//!   `write_all` do not: std protects these. All writes to a pipe raise. So do socket2's writes and
//!   C's `write`.
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
//! # Asynchronous code
//!
//! The scene makes its own runtime. Use a plain `#[test]`: inside `#[tokio::test]`, no second
//! runtime can start. A peer is a thread, so it breaks while the scene's thread waits for it.
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
//! The table holds after [`wait_broken`](Peer::wait_broken), **if no other code reads, writes or
//! asks for `SO_ERROR`** on the handle in between. Such a call takes the `ECONNRESET`, and the
//! first write then reports `EPIPE`. `poll` and a registration with epoll take nothing. A write
//! that can raise SIGPIPE raises it with `EPIPE`, not with `ECONNRESET`.
//!
//! | [`Break`], over TCP | first write | next write, after [`wait_reset`] | reads |
//! |---|---|---|---|
//! | [`ResetAfter`], [`RESET_AT_ACCEPT`] | `ECONNRESET` | **`EPIPE`** | data, `ECONNRESET`, end |
//! | [`CloseUnread`], at one byte more | `ECONNRESET` | **`EPIPE`** | data, `ECONNRESET`, end |
//! | [`FinAfter`] | succeeds, and draws a reset | **`EPIPE`** | data, end |
//! | [`FinThenReset`] | **`EPIPE`** | | data, end |
//! | [`HalfClose`] | succeeds | succeeds | data, end |
//! | [`StopReading`] | succeeds until the buffers are full, then `EAGAIN` or blocks | | wait |
//!
//! *Data* is what arrived before the break. Reading it leaves the error in place; the read that
//! returns `ECONNRESET` takes it.
//!
//! A Unix socket has no reset: after every break that closes, the first write reports **`EPIPE`**.
//! If the peer closed with unread data, a read returns `ECONNRESET`.
//!
//! All of this is Linux's behaviour, measured on 6.18. This crate's tests play each row there
//! 10,000 times.
//!
//! # Which break kills which server
//!
//! The server is the code under test, without protection. [`Peer::connect`] is its client: it sends
//! the request as its [greeting](Break::greeting), and vanishes. The table shows how often SIGPIPE
//! killed the server in 20 tries (Linux 6.18, two busy cores, a new process for each try):
//!
//! | server | `FinThenReset(0)` | one byte more | `FinThenReset(1)` | dropped | `ResetAfter(0)` |
//! |---|---|---|---|---|---|
//! | answers at once | 19 | 14 | 0 | | 0 |
//! | thinks, answers | 20 | 20 | 0 | 20 | 0 |
//! | looks, thinks, answers | 0 | 0 | 0 | 20 | 0 |
//! | thinks, looks, writes 8 MiB | 0 | 0 | 20 | 0 | 0 |
//! | writes twice, stops at an error | 20 | 20 | 0 | | 0 |
//! | writes twice, even after an error | 18 | 19 | 3 | | 17 |
//! | writes, thinks, writes, even after an error | 20 | 20 | 20 | 20 | 20 |
//! | hyper, the handler answers at once | 20 | 20 | 0 | | 0 |
//! | hyper, the handler thinks | 0 | 20 | 0 | 0 | 0 |
//!
//! * *Thinks*: the server sleeps for 20 ms. *Looks*: it asks by `POLLRDHUP` or a peek whether the
//!   client has ended, and if so gives up.
//! * *One byte more*: the greeting is the request and the first byte of the next one. hyper needs
//!   this: while the handler thinks, hyper drops a request that only the end follows.
//! * *Dropped*: `FinThenReset(u64::MAX)`, and `drop(peer)` 10 ms after the request. A better moment
//!   to drop the peer: when the handler reports over a channel that it thinks. An empty field means
//!   that the server does not think.
//! * A server that answers at once may be quicker than the break. Repeat that scene: 20 tries are
//!   enough. A [`Proxy`] that cuts at the last byte of the request is nearly as quick as a `Peer`.
//! * No break kills a server that looks immediately before its only small write.
//!
//! # Platforms
//!
//! The kit is tested on Linux, and type-checked for Apple, BSD, Android and the other systems that
//! have SIGPIPE. Elsewhere the crate is empty. These need Linux or Android, unless an item says
//! otherwise:
//!
//! * A break waits until the bytes sent before it have arrived. A reset right behind a greeting
//!   waits until the greeting has left.
//! * The greeting and the FIN of [`FinThenReset(0)`](Break::FinThenReset) leave in one segment.
//! * A [`Proxy`] sees the reset of a side that it no longer reads.
//! * [`wait_reset`] and [`wait_fin`] sleep in `poll` until the break comes. On other systems they
//!   ask once a millisecond.
//! * `wait_fin` sees a FIN behind unread data (also on FreeBSD and illumos).
//! * A [`Watch`] reports the thread's name.
//!
//! The feature `watch` (on by default) adds [`Watch`], which needs the crate `backtrace`.
//!
//! [`ResetAfter`]: Break::ResetAfter
//! [`RESET_AT_ACCEPT`]: Break::RESET_AT_ACCEPT
//! [`CloseUnread`]: Break::CloseUnread
//! [`FinAfter`]: Break::FinAfter
//! [`FinThenReset`]: Break::FinThenReset
//! [`HalfClose`]: Break::HalfClose
//! [`StopReading`]: Break::StopReading

// These systems have no SIGPIPE. No other code outside `sys` names a system.
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
