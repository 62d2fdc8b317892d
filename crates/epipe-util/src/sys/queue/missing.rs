//! Systems that do not report the queues of a socket.

use std::io;

use super::{AsSocket, unsupported};
use crate::sys::tcp_info::{TcpInfo, TcpState};

pub(crate) fn unsent(_: &impl AsSocket) -> io::Result<usize> {
    unsupported()
}

pub(crate) fn unacknowledged(_: &impl AsSocket) -> io::Result<usize> {
    unsupported()
}

pub(crate) fn tcp_state(_: &impl AsSocket) -> io::Result<TcpState> {
    unsupported()
}

pub(crate) fn tcp_info(_: &impl AsSocket) -> io::Result<TcpInfo> {
    unsupported()
}
