//! FreeBSD, NetBSD and Apple: the length of the send buffer, which holds only bytes.
//!
//! Sources: FIONWRITE in sys_socket.c of FreeBSD and NetBSD, SO_NWRITE in XNU's uipc_socket.c.
//! NetBSD has no report like `TCP_INFO`.

#![allow(unsafe_code, reason = "the type of a socket option depends on its name")]

use std::io;

use socket2::{SockRef, Type};

use super::{AsSocket, unsupported};
use crate::sys::tcp_info::{TcpInfo, TcpState};

pub(crate) fn unsent(_: &impl AsSocket) -> io::Result<usize> {
    unsupported()
}

pub(crate) fn unacknowledged(socket: &impl AsSocket) -> io::Result<usize> {
    // The send buffers of other sockets count something else.
    let asked = SockRef::from(socket);
    if asked.r#type()? != Type::STREAM || asked.local_addr()?.as_socket().is_none() {
        return unsupported();
    }
    in_send_buffer(socket)
}

#[cfg(target_vendor = "apple")]
fn in_send_buffer(socket: &impl AsSocket) -> io::Result<usize> {
    // SAFETY: the type of this option is an int.
    let (count, _): (std::ffi::c_int, _) =
        unsafe { super::option(socket, libc::SOL_SOCKET, libc::SO_NWRITE) }?;
    Ok(usize::try_from(count).unwrap_or(0))
}

#[cfg(not(target_vendor = "apple"))]
fn in_send_buffer(socket: &impl AsSocket) -> io::Result<usize> {
    super::ask(socket, libc::FIONWRITE as _)
}

pub(crate) fn tcp_state(socket: &impl AsSocket) -> io::Result<TcpState> {
    tcp_info(socket).map(|info| info.state)
}

#[cfg(target_os = "netbsd")]
pub(crate) fn tcp_info(_: &impl AsSocket) -> io::Result<TcpInfo> {
    unsupported()
}

#[cfg(target_os = "freebsd")]
pub(crate) fn tcp_info(socket: &impl AsSocket) -> io::Result<TcpInfo> {
    // SAFETY: `libc::tcp_info` is the option's type and consists of integers.
    let (report, _): (libc::tcp_info, _) =
        unsafe { super::option(socket, libc::IPPROTO_TCP, libc::TCP_INFO) }?;
    Ok(TcpInfo {
        state: state(report.tcpi_state),
        rtt: std::time::Duration::from_micros(report.tcpi_rtt.into()),
        retransmits: Some(report.tcpi_snd_rexmitpack),
        unacknowledged_segments: None,
        bytes_acknowledged: None,
        bytes_received: None,
    })
}

/// `struct tcp_connection_info` of netinet/tcp.h.
///
/// The struct of the libc crate (0.2.191) is wrong: it has a word for each bit of TCP fast open, so
/// the later fields have wrong offsets.
#[cfg(target_vendor = "apple")]
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

#[cfg(target_vendor = "apple")]
const _: () = assert!(std::mem::offset_of!(Report, rxbytes) == 88);

#[cfg(target_vendor = "apple")]
pub(crate) fn tcp_info(socket: &impl AsSocket) -> io::Result<TcpInfo> {
    // SAFETY: `Report` is the option's type and consists of integers.
    let (report, _): (Report, _) =
        unsafe { super::option(socket, libc::IPPROTO_TCP, libc::TCP_CONNECTION_INFO) }?;
    Ok(TcpInfo {
        state: state(report.state),
        rtt: std::time::Duration::from_millis(report.srtt.into()),
        retransmits: Some(report.txretransmitpackets.try_into().unwrap_or(u32::MAX)),
        // This system reports only what was sent.
        unacknowledged_segments: None,
        bytes_acknowledged: None,
        bytes_received: Some(report.rxbytes),
    })
}

/// The numbers of netinet/tcp_fsm.h, the same in FreeBSD and XNU.
fn state(state: u8) -> TcpState {
    match state {
        1 => TcpState::Listen,
        2 => TcpState::SynSent,
        3 => TcpState::SynReceived,
        4 => TcpState::Established,
        5 => TcpState::CloseWait,
        6 => TcpState::FinWait1,
        7 => TcpState::Closing,
        8 => TcpState::LastAck,
        9 => TcpState::FinWait2,
        10 => TcpState::TimeWait,
        _ => TcpState::Close,
    }
}
