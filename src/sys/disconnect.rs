//! The codes that tell of an ended connection, and that std knows no kind for, or one that says less: of kind
//! `TimedOut` are cancelled calls too, and deadlines without a code.

use crate::Disconnect;

cfg_if::cfg_if! {
    if #[cfg(windows)] {
        // winerror.h. The first are those of a handle whose calls are overlapped, as tokio's and mio's are.
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

        pub(crate) fn disconnect(code: i32) -> Option<Disconnect> {
            Some(match code {
                ERROR_NETNAME_DELETED | WSAENETRESET => Disconnect::Reset,
                ERROR_PIPE_NOT_CONNECTED | WSAESHUTDOWN | WSAEDISCON => Disconnect::BrokenPipe,
                ERROR_CONNECTION_REFUSED | ERROR_PORT_UNREACHABLE => Disconnect::Refused,
                ERROR_CONNECTION_ABORTED => Disconnect::Aborted,
                ERROR_SEM_TIMEOUT | WSAETIMEDOUT => Disconnect::TimedOut,
                WSAEHOSTDOWN => Disconnect::Unreachable,
                _ => return None,
            })
        }
    } else if #[cfg(unix)] {
        pub(crate) fn disconnect(code: i32) -> Option<Disconnect> {
            Some(match code {
                libc::ENETRESET => Disconnect::Reset,
                libc::ETIMEDOUT => Disconnect::TimedOut,
                // Of a send that meets the peer's reset (libuv, issue 3413).
                #[cfg(target_vendor = "apple")]
                libc::EPROTOTYPE => Disconnect::Reset,
                libc::ESHUTDOWN => Disconnect::BrokenPipe,
                libc::EHOSTDOWN => Disconnect::Unreachable,
                _ => return None,
            })
        }
    } else {
        pub(crate) fn disconnect(_: i32) -> Option<Disconnect> {
            None
        }
    }
}
