//! The queues of a socket: ioctl(2), and TCP's own report.
//!
//! Linux net/ipv4/tcp.c `tcp_ioctl`: SIOCOUTQ is `write_seq - snd_una`, SIOCOUTQNSD `write_seq - snd_nxt`, and a FIN
//! counts as one from the shutdown on; a SYN does not. FreeBSD sys_socket.c FIONWRITE, NetBSD's, and XNU
//! uipc_socket.c SO_NWRITE: what stands in the send buffer, which holds bytes alone.

#![allow(unsafe_code, reason = "ioctl and getsockopt take pointers")]
#![cfg_attr(not(unix), allow(dead_code))]

use std::io;

use cfg_if::cfg_if;
use socket2::SockRef;

use super::handle::AsSocket;
use crate::queue::TcpInfo;

/// The error that waits at the socket; it waits no more.
pub(crate) fn take_error(socket: &impl AsSocket) -> io::Result<Option<io::Error>> {
    SockRef::from(socket).take_error()
}

/// FreeBSD's and NetBSD's soisdisconnected drops what was unacknowledged, XNU's perhaps. Linux keeps the count.
pub(crate) const RESET_EMPTIES_THE_QUEUE: bool =
    cfg!(not(any(target_os = "android", target_os = "linux")));

/// Where the system does not tell.
#[allow(dead_code)] // not where all is told
pub(crate) fn unsupported<T>(_: &impl AsSocket) -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

// ----------------------------------------------------------------------- counts of bytes ----

/// An ioctl that writes one int. A macro, since its number's type differs.
#[cfg(unix)]
#[allow(unused_macros)]
macro_rules! ask {
    ($socket:expr, $number:expr) => {{
        let mut answer: std::ffi::c_int = 0;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&$socket.as_fd());
        // SAFETY: the call writes one int.
        match unsafe { libc::ioctl(fd, $number as _, &raw mut answer) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(usize::try_from(answer).unwrap_or(0)),
        }
    }};
}

cfg_if! {
    // Of those that call themselves Unix, newlib's have no such number.
    if #[cfg(all(
        unix,
        not(any(
            target_os = "espidf",
            target_os = "horizon",
            target_os = "nuttx",
            target_os = "rtems",
            target_os = "vita",
        ))
    ))] {
        pub(crate) fn unread(socket: &impl AsSocket) -> io::Result<usize> {
            ask!(socket, libc::FIONREAD)
        }
    } else {
        pub(crate) use unsupported as unread;
    }
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        /// linux/sockios.h; of the libc crate only some have it.
        const SIOCOUTQNSD: libc::c_ulong = 0x894b;

        pub(crate) fn unsent(socket: &impl AsSocket) -> io::Result<usize> {
            let state = state_that_counts(socket)?;
            Ok(without_fin(state, ask!(socket, SIOCOUTQNSD)?))
        }

        pub(crate) fn unacknowledged(socket: &impl AsSocket) -> io::Result<usize> {
            // The state first: of a FIN that is acknowledged in between, nothing is left to count.
            let state = state_that_counts(socket)?;
            Ok(without_fin(state, with_fin(socket)?))
        }

        /// During the handshake the kernel answers 0, whatever was written by TCP fast open.
        fn state_that_counts(socket: &impl AsSocket) -> io::Result<TcpState> {
            match tcp_state(socket)? {
                TcpState::SynSent | TcpState::SynReceived => Err(io::ErrorKind::NotConnected.into()),
                state => Ok(state),
            }
        }

        /// What the other side has not acknowledged, FIN included; of a Unix stream memory.
        pub(crate) fn with_fin(socket: &impl AsSocket) -> io::Result<usize> {
            // SIOCOUTQ has the number of TIOCOUTQ (linux/sockios.h).
            ask!(socket, libc::TIOCOUTQ)
        }

        /// The FIN is the last that is sent, so that it is in every queue that is not empty.
        fn without_fin(state: TcpState, count: usize) -> usize {
            match state {
                TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => {
                    count.saturating_sub(1)
                }
                _ => count,
            }
        }
    } else if #[cfg(any(target_os = "freebsd", target_os = "netbsd", target_vendor = "apple"))] {
        pub(crate) use unsupported as unsent;

        pub(crate) fn unacknowledged(socket: &impl AsSocket) -> io::Result<usize> {
            // Of others a send buffer counts something else.
            let asked = SockRef::from(socket);
            if asked.r#type()? != socket2::Type::STREAM || asked.local_addr()?.as_socket().is_none() {
                return unsupported(socket);
            }
            cfg_if! {
                if #[cfg(target_vendor = "apple")] {
                    // SAFETY: the option's value is an int.
                    let (count, _): (std::ffi::c_int, _) =
                        unsafe { option(socket, libc::SOL_SOCKET, libc::SO_NWRITE) }?;
                    Ok(usize::try_from(count).unwrap_or(0))
                } else {
                    ask!(socket, libc::FIONWRITE)
                }
            }
        }
    } else {
        pub(crate) use {unsupported as unacknowledged, unsupported as unsent};
    }
}

// ---------------------------------------------------------------------------- TCP's report ----

cfg_if! {
    if #[cfg(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "linux",
        target_vendor = "apple",
    ))] {
        use std::time::Duration;

        use crate::queue::TcpState;

        /// Reads an option, and how many bytes of it the system has written.
        ///
        /// # Safety
        ///
        /// As of `option::get`.
        unsafe fn option<T: Copy>(
            socket: &impl AsSocket,
            level: std::ffi::c_int,
            name: std::ffi::c_int,
        ) -> io::Result<(T, usize)> {
            // SAFETY: the caller vouches for the type.
            match unsafe { super::option::get_with_len(socket.as_fd(), level, name) } {
                // How some systems say that this kind of socket does not know it.
                Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => unsupported(socket),
                answer => answer,
            }
        }
    } else {
        pub(crate) use unsupported as tcp_info;

        /// Whether a connection is gone: it is not told here.
        pub(crate) fn is_closed(_: &impl AsSocket) -> bool {
            false
        }
    }
}

cfg_if! {
    if #[cfg(any(target_os = "android", target_os = "linux"))] {
        /// The head of linux/tcp.h's `struct tcp_info`, which grows; the libc crate's differ.
        #[repr(C)]
        #[derive(Clone, Copy)]
        struct Report {
            state: u8,
            small: [u8; 7],
            timers_and_sizes: [u32; 4],
            unacked: u32,
            counts: [u32; 10],
            rtt: u32,
            windows: [u32; 7],
            total_retrans: u32,
            rates: [u64; 2],
            bytes_acked: u64,
            bytes_received: u64,
            segments: [u32; 2],
            notsent_bytes: u32,
            more: [u32; 3],
            limits: [u64; 4],
            delivered: [u32; 2],
            bytes_sent: u64,
            bytes_retrans: u64,
        }

        const _: () = assert!(std::mem::offset_of!(Report, bytes_retrans) == 208);

        /// The report, and how much of it this kernel has written: an older one less.
        fn report(socket: &impl AsSocket) -> io::Result<(Report, usize)> {
            // SAFETY: it is the option's head, made of integers.
            unsafe { option(socket, libc::IPPROTO_TCP, libc::TCP_INFO) }
        }

        impl Report {
            fn state(&self) -> TcpState {
                use TcpState::*;
                // linux/tcp_states.h; the last is a request's.
                const STATES: [TcpState; 13] = [
                    Close, Established, SynSent, SynReceived, FinWait1, FinWait2, TimeWait, Close, CloseWait, LastAck,
                    Listen, Closing, SynReceived,
                ];
                STATES.get(usize::from(self.state)).copied().unwrap_or(Close)
            }
        }

        fn tcp_state(socket: &impl AsSocket) -> io::Result<TcpState> {
            report(socket).map(|(report, _)| report.state())
        }

        /// Whether a connection is gone: reset, or closed by both sides with all acknowledged.
        pub(crate) fn is_closed(socket: &impl AsSocket) -> bool {
            tcp_state(socket).is_ok_and(|state| state == TcpState::Close)
        }

        pub(crate) fn tcp_info(socket: &impl AsSocket) -> io::Result<TcpInfo> {
            let (report, len) = report(socket)?;
            let has = |end: usize| len >= end;
            let state = report.state();
            let fin_has_come = matches!(
                state,
                TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait
            );
            Ok(TcpInfo {
                state,
                rtt: Duration::from_micros(report.rtt.into()),
                retransmits: Some(report.total_retrans),
                // Of a listener it is how many wait to be accepted.
                unacknowledged_segments: (state != TcpState::Listen).then_some(report.unacked),
                bytes_acknowledged: has(size_of::<Report>())
                    .then(|| acknowledged(socket, state, &report))
                    .transpose()?,
                bytes_received: has(std::mem::offset_of!(Report, segments))
                    .then(|| report.bytes_received.saturating_sub(fin_has_come.into())),
            })
        }

        /// tcpi_bytes_acked counts the SYN of who has connected, and a FIN. Who has connected is told by the bytes
        /// that were sent for the first time, less those that are under way. (Alone these count what has failed on
        /// this side.)
        fn acknowledged(socket: &impl AsSocket, state: TcpState, report: &Report) -> io::Result<u64> {
            let first_sent = report.bytes_sent.saturating_sub(report.bytes_retrans);
            let left = |count: io::Result<usize>| match count {
                // A listener has none.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(0),
                count => count.map(|count| without_fin(state, count) as u64),
            };
            let queued = left(with_fin(socket))?;
            let unsent = without_fin(state, report.notsent_bytes as usize) as u64;
            let acknowledged = (first_sent + unsent).saturating_sub(queued);
            let (has_fin, may_have_fin) = match state {
                TcpState::FinWait2 | TcpState::TimeWait => (1, 1),
                TcpState::Close => (0, 1),
                _ => (0, 0),
            };
            let counted = report.bytes_acked;
            Ok(acknowledged.clamp(
                counted.saturating_sub(1 + may_have_fin),
                counted.saturating_sub(has_fin),
            ))
        }
    } else if #[cfg(target_os = "freebsd")] {
        pub(crate) fn tcp_info(socket: &impl AsSocket) -> io::Result<TcpInfo> {
            // SAFETY: it is the option's type, made of integers.
            let (report, _): (libc::tcp_info, _) =
                unsafe { option(socket, libc::IPPROTO_TCP, libc::TCP_INFO) }?;
            Ok(TcpInfo {
                state: bsd_state(report.tcpi_state),
                rtt: Duration::from_micros(report.tcpi_rtt.into()),
                retransmits: Some(report.tcpi_snd_rexmitpack),
                unacknowledged_segments: None,
                bytes_acknowledged: None,
                bytes_received: None,
            })
        }
    } else if #[cfg(target_vendor = "apple")] {
        /// netinet/tcp.h's `struct tcp_connection_info`. In the libc crate's (0.2.191) the bits of TCP fast open are
        /// a word each, and what follows is not where it is.
        #[repr(C)]
        #[derive(Clone, Copy)]
        struct Report {
            state: u8,
            small: [u8; 3],
            words: [u32; 10],
            srtt: u32,
            more: [u32; 2],
            sent: [u64; 3],
            rxpackets: u64,
            rxbytes: u64,
            rxoutoforderbytes: u64,
            txretransmitpackets: u64,
        }

        const _: () = assert!(std::mem::offset_of!(Report, rxbytes) == 88);

        pub(crate) fn tcp_info(socket: &impl AsSocket) -> io::Result<TcpInfo> {
            // SAFETY: it is the option's type, made of integers.
            let (report, _): (Report, _) =
                unsafe { option(socket, libc::IPPROTO_TCP, libc::TCP_CONNECTION_INFO) }?;
            Ok(TcpInfo {
                state: bsd_state(report.state),
                rtt: Duration::from_millis(report.srtt.into()),
                retransmits: Some(report.txretransmitpackets.try_into().unwrap_or(u32::MAX)),
                // It tells what was sent.
                unacknowledged_segments: None,
                bytes_acknowledged: None,
                bytes_received: Some(report.rxbytes),
            })
        }
    }
}

#[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
pub(crate) fn is_closed(socket: &impl AsSocket) -> bool {
    tcp_info(socket).is_ok_and(|info| info.state == TcpState::Close)
}

/// netinet/tcp_fsm.h, FreeBSD's and XNU's.
#[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
fn bsd_state(state: u8) -> TcpState {
    use TcpState::*;
    #[rustfmt::skip]
    const STATES: [TcpState; 11] = [
        Close, Listen, SynSent, SynReceived, Established, CloseWait, FinWait1, Closing, LastAck, FinWait2, TimeWait,
    ];
    STATES.get(usize::from(state)).copied().unwrap_or(Close)
}
