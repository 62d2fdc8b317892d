//! Windows: what a vanished client does to the socket of all.
//!
//! A datagram that finds nobody is answered by ICMP, and by default the next `WSARecvFrom` fails for that:
//! WSAECONNRESET for "port unreachable", WSAENETRESET for "time exceeded" (Microsoft, "Winsock IOCTLs",
//! SIO_UDP_CONNRESET and SIO_UDP_NETRESET; the second from Windows 8 on). Unix tells it a *connected* socket alone.

#![allow(unsafe_code, reason = "WSAIoctl takes pointers")]

use cfg_if::cfg_if;

use super::handle;

cfg_if! {
    if #[cfg(windows)] {
        use std::ffi::{c_int, c_void};
        use std::io;
        use std::os::windows::io::AsRawSocket;
        use std::ptr;

        // mswsock.h, as in windows-sys 0.61.
        const SIO_UDP_CONNRESET: u32 = 0x9800_000c;
        const SIO_UDP_NETRESET: u32 = 0x9800_000f;

        #[link(name = "ws2_32")]
        unsafe extern "system" {
            fn WSAIoctl(
                socket: usize,
                code: u32,
                input: *const c_void,
                input_len: u32,
                output: *mut c_void,
                output_len: u32,
                returned: *mut u32,
                overlapped: *mut c_void,
                completion: *mut c_void,
            ) -> c_int;
        }

        fn set<S: handle::Socket>(socket: &S, code: u32, on: bool) -> io::Result<()> {
            let on = c_int::from(on); // a BOOL
            let mut returned = 0;
            // SAFETY: the input is valid for its length, the count for one number; no output is asked for, and
            // nothing goes on after the call.
            let answer = unsafe {
                WSAIoctl(
                    socket.as_socket().as_raw_socket() as usize,
                    code,
                    (&raw const on).cast(),
                    size_of_val(&on) as u32,
                    ptr::null_mut(),
                    0,
                    &mut returned,
                    ptr::null_mut(),
                    ptr::null_mut(),
                )
            };
            match answer {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        }

        /// Whether a receive fails for a datagram that found nobody.
        pub(crate) fn set_tells_unreachable<S: handle::Socket>(socket: &S, on: bool) -> io::Result<()> {
            // The second is unknown before Windows 8; the first alone answers for both.
            let first = set(socket, SIO_UDP_CONNRESET, on);
            let _ = set(socket, SIO_UDP_NETRESET, on);
            first
        }

        /// A datagram socket comes into care. What is refused stays as it was: Wine knows neither.
        pub(crate) fn adopt_datagrams<S: handle::Socket>(socket: &S) {
            let _ = set_tells_unreachable(socket, false);
        }
    } else {
        /// A datagram socket comes into care: there is nothing to do.
        #[inline]
        pub(crate) fn adopt_datagrams<S: handle::Socket>(_: &S) {}
    }
}
