//! Windows: keeps one vanished client from disturbing a UDP socket that all clients share.
//!
//! ICMP answers a datagram that has no receiver. By default the next `WSARecvFrom` then fails:
//! WSAECONNRESET for "port unreachable", WSAENETRESET for "time exceeded". SIO_UDP_CONNRESET and
//! SIO_UDP_NETRESET switch these off (Microsoft, "Winsock IOCTLs"; the second since Windows 8).
//! Unix reports such an error only to a *connected* socket.

#![allow(unsafe_code, reason = "WSAIoctl takes pointers")]

use std::ffi::{c_int, c_void};
use std::io;
use std::os::windows::io::AsRawSocket;
use std::ptr;

use super::handle::AsSocket;

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

fn set_one(socket: &impl AsSocket, code: u32, on: bool) -> io::Result<()> {
    let on = c_int::from(on); // a BOOL
    let mut returned = 0;
    // SAFETY: the input is valid for its length, and the count for one number. There is no output,
    // and without an OVERLAPPED nothing continues after the call.
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

/// Sets whether a receive fails after a datagram without a receiver. Wine knows neither code.
pub(crate) fn set(socket: &impl AsSocket, on: bool) -> io::Result<()> {
    // The second code is unknown before Windows 8, so its error is ignored.
    let first = set_one(socket, SIO_UDP_CONNRESET, on);
    let _ = set_one(socket, SIO_UDP_NETRESET, on);
    first
}
