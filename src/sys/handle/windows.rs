//! Windows: a socket is a SOCKET, a pipe is a HANDLE.

#[allow(unused_imports)] // the names that `raw` uses
pub(crate) use std::os::windows::io::{AsSocket, OwnedSocket};

/// A socket.
pub(crate) trait Socket: AsSocket {}
impl<T: AsSocket> Socket for T {}

/// A pipe.
pub(crate) use super::StdWrite as Pipe;

/// Where a datagram is sent.
pub(crate) trait Address {}
impl<T> Address for T {}

/// `AsSocket` and its kin for a socket type `{ std, shield }`.
macro_rules! socket_handles {
    ($ours:ident, $std:ty) => {
        impl std::os::windows::io::AsSocket for $ours {
            fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
                self.std.as_socket()
            }
        }

        impl std::os::windows::io::AsRawSocket for $ours {
            fn as_raw_socket(&self) -> std::os::windows::io::RawSocket {
                self.std.as_raw_socket()
            }
        }

        impl std::os::windows::io::IntoRawSocket for $ours {
            fn into_raw_socket(self) -> std::os::windows::io::RawSocket {
                self.std.into_raw_socket()
            }
        }

        #[allow(unsafe_code)] // the function is unsafe in std's trait
        impl std::os::windows::io::FromRawSocket for $ours {
            unsafe fn from_raw_socket(socket: std::os::windows::io::RawSocket) -> Self {
                // SAFETY: the caller promises what std asks of it: an open socket that
                // nobody else owns.
                unsafe { <$std as std::os::windows::io::FromRawSocket>::from_raw_socket(socket) }
                    .into()
            }
        }

        impl From<std::os::windows::io::OwnedSocket> for $ours {
            fn from(socket: std::os::windows::io::OwnedSocket) -> Self {
                <$std>::from(socket).into()
            }
        }

        impl From<$ours> for std::os::windows::io::OwnedSocket {
            fn from(ours: $ours) -> Self {
                ours.std.into()
            }
        }
    };
}
pub(crate) use socket_handles;

/// `AsHandle` and its kin for a pipe end. Not the ends that a child process left with us: std
/// opens them for overlapped I/O, and its pipe types abort the process where two calls overlap.
macro_rules! pipe_handles {
    ($ours:ident, $std:ty, $($child:ident)+) => {
        impl std::os::windows::io::AsHandle for $ours {
            fn as_handle(&self) -> std::os::windows::io::BorrowedHandle<'_> {
                self.std.as_handle()
            }
        }

        impl std::os::windows::io::AsRawHandle for $ours {
            fn as_raw_handle(&self) -> std::os::windows::io::RawHandle {
                self.std.as_raw_handle()
            }
        }

        impl std::os::windows::io::IntoRawHandle for $ours {
            fn into_raw_handle(self) -> std::os::windows::io::RawHandle {
                self.std.into_raw_handle()
            }
        }

        #[allow(unsafe_code)] // the function is unsafe in std's trait
        impl std::os::windows::io::FromRawHandle for $ours {
            unsafe fn from_raw_handle(handle: std::os::windows::io::RawHandle) -> Self {
                // SAFETY: the caller promises what std asks of it: an open pipe handle that
                // nobody else owns.
                unsafe { <$std as std::os::windows::io::FromRawHandle>::from_raw_handle(handle) }
                    .into()
            }
        }

        impl From<std::os::windows::io::OwnedHandle> for $ours {
            fn from(handle: std::os::windows::io::OwnedHandle) -> Self {
                <$std>::from(handle).into()
            }
        }

        impl From<$ours> for std::os::windows::io::OwnedHandle {
            fn from(ours: $ours) -> Self {
                ours.std.into()
            }
        }
    };
}
pub(crate) use pipe_handles;

/// The same for the adapter, which shows what its handle shows: a socket or a file.
macro_rules! adapter_handles {
    ($ours:ident) => {
        $crate::sys::handle::adapter_handles! { @one $ours:
            AsSocket as_socket BorrowedSocket, AsRawSocket as_raw_socket RawSocket,
            IntoRawSocket into_raw_socket, OwnedSocket
        }
        $crate::sys::handle::adapter_handles! { @one $ours:
            AsHandle as_handle BorrowedHandle, AsRawHandle as_raw_handle RawHandle,
            IntoRawHandle into_raw_handle, OwnedHandle
        }
    };
    (@one $ours:ident:
        $as:ident $as_fn:ident $borrowed:ident, $as_raw:ident $as_raw_fn:ident $raw:ident,
        $into_raw:ident $into_raw_fn:ident, $owned:ident
    ) => {
        impl<T: std::os::windows::io::$as> std::os::windows::io::$as for $ours<T> {
            fn $as_fn(&self) -> std::os::windows::io::$borrowed<'_> {
                self.get_ref().$as_fn()
            }
        }

        impl<T: std::os::windows::io::$as_raw> std::os::windows::io::$as_raw for $ours<T> {
            fn $as_raw_fn(&self) -> std::os::windows::io::$raw {
                self.get_ref().$as_raw_fn()
            }
        }

        impl<T: std::os::windows::io::$into_raw> std::os::windows::io::$into_raw for $ours<T> {
            fn $into_raw_fn(self) -> std::os::windows::io::$raw {
                self.into_inner().$into_raw_fn()
            }
        }

        impl<T> From<$ours<T>> for std::os::windows::io::$owned
        where
            std::os::windows::io::$owned: From<T>,
        {
            fn from(ours: $ours<T>) -> Self {
                ours.into_inner().into()
            }
        }
    };
}
pub(crate) use adapter_handles;
