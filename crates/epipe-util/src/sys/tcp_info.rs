//! The data of TCP's report on a connection.

use std::time::Duration;

/// The report of [`tcp_info()`](crate::queue::tcp_info()) on a TCP connection.
///
/// A field is `None` where the system does not report it, or is too old to report it.
///
/// ```
/// use epipe_util::queue::{TcpInfo, TcpState};
///
/// fn is_slow(info: &TcpInfo) -> bool {
///     info.state == TcpState::Established && info.rtt.as_millis() > 500
/// }
/// ```
#[doc(alias("TCP_INFO", "TCP_CONNECTION_INFO"))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state of the connection.
    pub state: TcpState,
    /// The smoothed round-trip time. Zero before the first measurement.
    pub rtt: Duration,
    /// The number of segments that were sent again since the connection began.
    pub retransmits: Option<u32>,
    /// The number of segments that are sent and unacknowledged, including a FIN.
    pub unacknowledged_segments: Option<u32>,
    /// The number of the caller's bytes that were acknowledged. Linux 4.19 or later.
    ///
    /// It may be one too high or too low if a transmission has failed on this side, or if another
    /// thread writes at the same time.
    pub bytes_acknowledged: Option<u64>,
    /// The number of the peer's bytes that have arrived. Linux 4.1 or later; also Apple.
    ///
    /// In state [`Close`](TcpState::Close) it may count the peer's FIN.
    pub bytes_received: Option<u64>,
}

/// The states of a TCP connection, as in RFC 9293.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpState {
    /// Connecting.
    SynSent,
    /// Being accepted.
    SynReceived,
    /// Connected.
    Established,
    /// This side has ended its sending half. Its FIN is not acknowledged.
    FinWait1,
    /// This side has ended its sending half. Its FIN is acknowledged.
    FinWait2,
    /// The peer has ended its sending half.
    CloseWait,
    /// Both have ended at the same time. This side's FIN is not acknowledged.
    Closing,
    /// The peer has ended first, then this side. This side's FIN is not acknowledged.
    LastAck,
    /// Both have ended. (For a socket that is still open, Linux reports `Close`.)
    TimeWait,
    /// Never connected, or gone, by an orderly end or by a reset.
    ///
    /// **The state does not show which.** A read shows it, or `SO_ERROR`.
    Close,
    /// A listener.
    Listen,
}
