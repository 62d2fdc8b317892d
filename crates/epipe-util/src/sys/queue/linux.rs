//! Linux, by `tcp_ioctl` of net/ipv4/tcp.c.
//!
//! SIOCOUTQ is `write_seq - snd_una`, and SIOCOUTQNSD is `write_seq - snd_nxt`. From the shutdown
//! on, both count the FIN as one byte. They do not count the SYN.

#![allow(unsafe_code, reason = "the type of a socket option depends on its name")]

use std::io;
use std::mem::offset_of;
use std::time::Duration;

use super::{AsSocket, ask, option};
use crate::sys::tcp_info::{TcpInfo, TcpState};

pub(crate) fn unsent(socket: &impl AsSocket) -> io::Result<usize> {
    /// From linux/sockios.h. The libc crate has it only for some targets.
    const SIOCOUTQNSD: std::ffi::c_ulong = 0x894b;

    let state = state_that_counts(socket)?;
    Ok(without_fin(state, ask(socket, SIOCOUTQNSD)?))
}

pub(crate) fn unacknowledged(socket: &impl AsSocket) -> io::Result<usize> {
    // The state first: if the FIN is acknowledged in between, the count is 0 and stays 0.
    let state = state_that_counts(socket)?;
    Ok(without_fin(state, with_fin(socket)?))
}

/// Returns the state. An error during the handshake, when the kernel's count is always 0, even if
/// bytes were written by TCP fast open.
fn state_that_counts(socket: &impl AsSocket) -> io::Result<TcpState> {
    match tcp_state(socket)? {
        TcpState::SynSent | TcpState::SynReceived => Err(io::ErrorKind::NotConnected.into()),
        state => Ok(state),
    }
}

/// The unacknowledged bytes of a TCP stream, including the FIN. For a Unix stream an amount of
/// memory.
fn with_fin(socket: &impl AsSocket) -> io::Result<usize> {
    // SIOCOUTQ and TIOCOUTQ are the same number (linux/sockios.h).
    ask(socket, libc::TIOCOUTQ as _)
}

/// Subtracts the FIN. It is sent last, so every queue that is not empty holds it.
fn without_fin(state: TcpState, count: usize) -> usize {
    match state {
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => count.saturating_sub(1),
        _ => count,
    }
}

/// The start of `struct tcp_info` of linux/tcp.h, which grows with each kernel.
///
/// The structs of the libc crate differ between targets.
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

const _: () = assert!(offset_of!(Report, bytes_retrans) == 208);

/// The report, and how many bytes of it this kernel has written. An older kernel writes fewer.
fn report(socket: &impl AsSocket) -> io::Result<(Report, usize)> {
    // SAFETY: `Report` is the start of the option's type and consists of integers.
    unsafe { option(socket, libc::IPPROTO_TCP, libc::TCP_INFO) }
}

impl Report {
    /// The numbers of linux/tcp_states.h. 12 is a connection request.
    fn state(&self) -> TcpState {
        match self.state {
            1 => TcpState::Established,
            2 => TcpState::SynSent,
            3 | 12 => TcpState::SynReceived,
            4 => TcpState::FinWait1,
            5 => TcpState::FinWait2,
            6 => TcpState::TimeWait,
            8 => TcpState::CloseWait,
            9 => TcpState::LastAck,
            10 => TcpState::Listen,
            11 => TcpState::Closing,
            _ => TcpState::Close,
        }
    }
}

pub(crate) fn tcp_state(socket: &impl AsSocket) -> io::Result<TcpState> {
    report(socket).map(|(report, _)| report.state())
}

pub(crate) fn tcp_info(socket: &impl AsSocket) -> io::Result<TcpInfo> {
    let (report, len) = report(socket)?;
    let state = report.state();
    let fin_has_come = matches!(
        state,
        TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait
    );
    Ok(TcpInfo {
        state,
        rtt: Duration::from_micros(report.rtt.into()),
        retransmits: Some(report.total_retrans),
        // For a listener this field is the number of connections that wait for `accept`.
        unacknowledged_segments: (state != TcpState::Listen).then_some(report.unacked),
        bytes_acknowledged: match len >= size_of::<Report>() {
            true => Some(acknowledged(socket, state, &report)?),
            false => None,
        },
        bytes_received: (len >= offset_of!(Report, segments))
            .then(|| report.bytes_received.saturating_sub(fin_has_come.into())),
    })
}

/// The caller's bytes that were acknowledged.
///
/// tcpi_bytes_acked also counts a FIN, and the SYN of the side that has connected. To find out
/// whether it counts these, subtract the queued bytes from those that were sent for the first time.
/// That difference alone is not exact: it also counts transmissions that failed on this side.
fn acknowledged(socket: &impl AsSocket, state: TcpState, report: &Report) -> io::Result<u64> {
    let queued = match with_fin(socket) {
        // A listener has no queue.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => 0,
        count => without_fin(state, count?) as u64,
    };
    let first_sent = report.bytes_sent.saturating_sub(report.bytes_retrans);
    let unsent = without_fin(state, report.notsent_bytes as usize) as u64;
    let acknowledged = (first_sent + unsent).saturating_sub(queued);
    let (has_fin, may_have_fin) = match state {
        TcpState::FinWait2 | TcpState::TimeWait => (1, 1),
        TcpState::Close => (0, 1),
        _ => (0, 0),
    };
    let counted = report.bytes_acked;
    Ok(acknowledged
        .clamp(counted.saturating_sub(1 + may_have_fin), counted.saturating_sub(has_fin)))
}
