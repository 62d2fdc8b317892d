//! What TCP reports of a connection: plain data.

use std::time::Duration;

/// What [`tcp_info()`](crate::queue::tcp_info()) tells. A field is `None` where the system does not
/// tell it, or is too old to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state of the connection.
    pub state: TcpState,
    /// The smoothed round-trip time; zero before the first was measured.
    pub rtt: Duration,
    /// How many segments were sent again, since the connection began.
    pub retransmits: Option<u32>,
    /// How many segments are sent and unacknowledged, a FIN included.
    pub unacknowledged_segments: Option<u32>,
    /// How many of the caller's bytes were acknowledged; one off where a transmission has failed on
    /// this side, or another thread writes at the moment. Linux 4.19.
    pub bytes_acknowledged: Option<u64>,
    /// How many of the peer's bytes have come. In state [`Close`](TcpState::Close) its FIN may be
    /// counted. Linux 4.1.
    pub bytes_received: Option<u64>,
}

/// The states of RFC 9293.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpState {
    /// Connecting.
    SynSent,
    /// Being accepted.
    SynReceived,
    /// Connected.
    Established,
    /// This side's sending half is ended; its FIN is not acknowledged.
    FinWait1,
    /// This side's sending half is ended, and the peer knows it.
    FinWait2,
    /// The peer's sending half is ended.
    CloseWait,
    /// Both ended at once; this side's FIN is not acknowledged.
    Closing,
    /// The peer ended first; this side's FIN is not acknowledged.
    LastAck,
    /// Both ended. (Linux tells `Close` of a socket that is still open.)
    TimeWait,
    /// Never connected, or **gone: it does not tell whether both ended well or one has reset**. A
    /// read does, or `SO_ERROR`.
    Close,
    /// A listener.
    Listen,
}
