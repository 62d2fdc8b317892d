//! The codes of an ended connection for which std's error kind is missing or not exact.
//!
//! For example, cancelled calls and deadlines without a code also have the kind `TimedOut`.

use std::io::ErrorKind;

/// The error kind of such a code.
#[cfg(unix)]
pub(crate) fn kind_of_code(code: i32) -> Option<ErrorKind> {
    Some(match code {
        libc::ENETRESET => ErrorKind::ConnectionReset,
        libc::ETIMEDOUT => ErrorKind::TimedOut,
        // A send at the moment of the peer's reset (libuv, issue 3413).
        #[cfg(target_vendor = "apple")]
        libc::EPROTOTYPE => ErrorKind::ConnectionReset,
        #[cfg(not(target_os = "espidf"))] // It has no such error.
        libc::ESHUTDOWN => ErrorKind::BrokenPipe,
        libc::EHOSTDOWN => ErrorKind::HostUnreachable,
        _ => return None,
    })
}

/// The error kind of such a code.
#[cfg(windows)]
pub(crate) fn kind_of_code(code: i32) -> Option<ErrorKind> {
    // From winerror.h. Overlapped calls, as of tokio and mio, report the `ERROR_` codes.
    const ERROR_NETNAME_DELETED: i32 = 64;
    const ERROR_SEM_TIMEOUT: i32 = 121;
    const ERROR_PIPE_NOT_CONNECTED: i32 = 233;
    const ERROR_CONNECTION_REFUSED: i32 = 1225;
    const ERROR_PORT_UNREACHABLE: i32 = 1234;
    const ERROR_CONNECTION_ABORTED: i32 = 1236;
    const WSAENETRESET: i32 = 10052;
    const WSAESHUTDOWN: i32 = 10058;
    const WSAETIMEDOUT: i32 = 10060;
    const WSAEHOSTDOWN: i32 = 10064;
    const WSAEDISCON: i32 = 10101;

    Some(match code {
        ERROR_NETNAME_DELETED | WSAENETRESET => ErrorKind::ConnectionReset,
        ERROR_PIPE_NOT_CONNECTED | WSAESHUTDOWN | WSAEDISCON => ErrorKind::BrokenPipe,
        ERROR_CONNECTION_REFUSED | ERROR_PORT_UNREACHABLE => ErrorKind::ConnectionRefused,
        ERROR_CONNECTION_ABORTED => ErrorKind::ConnectionAborted,
        ERROR_SEM_TIMEOUT | WSAETIMEDOUT => ErrorKind::TimedOut,
        WSAEHOSTDOWN => ErrorKind::HostUnreachable,
        _ => return None,
    })
}

/// This system has no known codes.
#[cfg(not(any(unix, windows)))]
pub(crate) fn kind_of_code(_: i32) -> Option<ErrorKind> {
    None
}
