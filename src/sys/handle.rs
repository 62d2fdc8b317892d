//! std's traits of handles, for the types of this crate. A handle is a descriptor, or a socket or
//! handle of Windows; some systems have none.
//!
//! Also `From` both ways between a type of this crate and the original. Each conversion into a type
//! of this crate calls that type's `adopt`.

#![allow(unsafe_code, reason = "to take over a raw descriptor is unsafe in std")]

#[cfg(has_fd)]
use std::fs::File;
#[cfg(has_fd)]
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};

#[cfg(has_fd)]
pub(crate) use std::os::fd::{AsFd as AsSocket, OwnedFd as OwnedSocket};
#[cfg(windows)]
pub(crate) use std::os::windows::io::{AsSocket, OwnedSocket};

/// What the adapter needs from a handle: a descriptor, on systems that have them.
#[cfg(has_fd)]
pub use std::os::fd::AsFd as Handle;

/// What the adapter needs from a handle: nothing.
#[cfg(not(has_fd))]
pub trait Handle {}
#[cfg(not(has_fd))]
impl<T> Handle for T {}

/// A socket's handle, for a write. std inlines `as_raw_fd`, and not `as_fd`.
#[cfg(has_fd)]
pub(crate) trait SocketHandle {
    fn fd(&self) -> BorrowedFd<'_>;
}

#[cfg(has_fd)]
impl<T: AsSocket + AsRawFd> SocketHandle for T {
    #[inline]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: this crate asks only handles of std, socket2 and tokio. These return the same
        // descriptor from both traits, and keep it open as long as they are borrowed.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

/// Runs `call` with std's `File` over a borrowed descriptor.
#[cfg(has_fd)]
pub(crate) fn as_file<T>(fd: BorrowedFd<'_>, call: impl FnOnce(&File) -> T) -> T {
    // SAFETY: the borrow keeps the descriptor open as long as `file` lives. ManuallyDrop does not
    // close it.
    let file = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(fd.as_raw_fd()) });
    call(&file)
}

#[allow(unused_macros, reason = "not every system has handles")]
/// `AsFd` and `AsRawFd`, or the traits of Windows' sockets, for a type `{ inner }`.
macro_rules! lent_handle {
    ($ours:ident) => {
        #[cfg(has_fd)]
        $crate::sys::handle::lent_handle! { $ours, std::os::fd,
            AsFd as_fd BorrowedFd, AsRawFd as_raw_fd RawFd
        }
        #[cfg(windows)]
        $crate::sys::handle::lent_handle! { $ours, std::os::windows::io,
            AsSocket as_socket BorrowedSocket, AsRawSocket as_raw_socket RawSocket
        }
    };
    ($ours:ident, $($io:ident)::+,
        $as:ident $as_fn:ident $borrowed:ident, $as_raw:ident $as_raw_fn:ident $raw:ident
    ) => {
        impl $($io)::+::$as for $ours {
            #[inline]
            fn $as_fn(&self) -> $($io)::+::$borrowed<'_> {
                self.inner.$as_fn()
            }
        }

        impl $($io)::+::$as_raw for $ours {
            #[inline]
            fn $as_raw_fn(&self) -> $($io)::+::$raw {
                self.inner.$as_raw_fn()
            }
        }
    };
}
pub(crate) use lent_handle;

#[allow(unused_macros, reason = "not every system has sockets")]
/// A `struct $ours { inner }`. A `&$inner` can become a `&$ours`.
macro_rules! transparent {
    ($(#[$meta:meta])* $ours:ident $(<$a:lifetime>)?, $inner:ty) => {
        $(#[$meta])*
        #[repr(transparent)]
        pub struct $ours $(<$a>)? {
            pub(crate) inner: $inner,
        }

        impl $(<$a>)? $ours $(<$a>)? {
            #[allow(dead_code, reason = "only streams are lent")]
            #[allow(clippy::needless_lifetimes, reason = "a type with its own lifetime needs it")]
            #[allow(unsafe_code)] // a reference changes its type
            #[inline]
            pub(crate) fn from_ref<'r>(inner: &'r $inner) -> &'r Self {
                // SAFETY: `repr(transparent)` above guarantees the layout of `inner`, and every
                // `inner` makes a valid `Self`.
                unsafe { &*std::ptr::from_ref(inner).cast() }
            }
        }
    };
}
#[allow(unused_imports)]
pub(crate) use transparent;

#[allow(unused_macros, reason = "not every system has handles")]
/// All handle traits, for a type `{ inner }`: of descriptors (`fd`), or on Windows of a `socket` or
/// of another `handle`.
macro_rules! handle_traits {
    (fd $ours:ident $inner:ty) => {
        $crate::sys::handle::handle_traits! { $ours $inner, std::os::fd,
            AsFd as_fd BorrowedFd, AsRawFd as_raw_fd RawFd, IntoRawFd into_raw_fd,
            FromRawFd from_raw_fd, OwnedFd
        }
    };
    (socket $ours:ident $inner:ty) => {
        $crate::sys::handle::handle_traits! { $ours $inner, std::os::windows::io,
            AsSocket as_socket BorrowedSocket, AsRawSocket as_raw_socket RawSocket,
            IntoRawSocket into_raw_socket, FromRawSocket from_raw_socket, OwnedSocket
        }
    };
    (handle $ours:ident $inner:ty) => {
        $crate::sys::handle::handle_traits! { $ours $inner, std::os::windows::io,
            AsHandle as_handle BorrowedHandle, AsRawHandle as_raw_handle RawHandle,
            IntoRawHandle into_raw_handle, FromRawHandle from_raw_handle, OwnedHandle
        }
    };
    ($ours:ident $inner:ty, $($io:ident)::+,
        $as:ident $as_fn:ident $borrowed:ident, $as_raw:ident $as_raw_fn:ident $raw:ident,
        $into_raw:ident $into_raw_fn:ident, $from_raw:ident $from_raw_fn:ident, $owned:ident
    ) => {
        $crate::sys::handle::lent_handle! { $ours, $($io)::+,
            $as $as_fn $borrowed, $as_raw $as_raw_fn $raw
        }

        impl $($io)::+::$into_raw for $ours {
            /// Returns the bare handle. **The protection ends here.**
            fn $into_raw_fn(self) -> $($io)::+::$raw {
                self.inner.$into_raw_fn()
            }
        }

        #[allow(unsafe_code)] // the function is unsafe in std's trait
        impl $($io)::+::$from_raw for $ours {
            unsafe fn $from_raw_fn(raw: $($io)::+::$raw) -> Self {
                // SAFETY: the caller promises what std requires: an open handle without another
                // owner.
                unsafe { <$inner as $($io)::+::$from_raw>::$from_raw_fn(raw) }.into()
            }
        }

        impl From<$($io)::+::$owned> for $ours {
            fn from(handle: $($io)::+::$owned) -> Self {
                <$inner>::from(handle).into()
            }
        }

        impl From<$ours> for $($io)::+::$owned {
            /// Returns the bare handle. **The protection ends here.**
            fn from(ours: $ours) -> Self {
                ours.inner.into()
            }
        }
    };
}
pub(crate) use handle_traits;

/// The same for an adapter, with the traits that its handle has.
macro_rules! adapter_traits {
    ($ours:ident) => {
        #[cfg(has_fd)]
        $crate::sys::handle::adapter_traits! { $ours, std::os::fd,
            AsFd as_fd BorrowedFd, AsRawFd as_raw_fd RawFd, IntoRawFd into_raw_fd, OwnedFd
        }
        #[cfg(windows)]
        $crate::sys::handle::adapter_traits! { $ours, std::os::windows::io,
            AsSocket as_socket BorrowedSocket, AsRawSocket as_raw_socket RawSocket,
            IntoRawSocket into_raw_socket, OwnedSocket
        }
        #[cfg(windows)]
        $crate::sys::handle::adapter_traits! { $ours, std::os::windows::io,
            AsHandle as_handle BorrowedHandle, AsRawHandle as_raw_handle RawHandle,
            IntoRawHandle into_raw_handle, OwnedHandle
        }
    };
    ($ours:ident, $($io:ident)::+,
        $as:ident $as_fn:ident $borrowed:ident, $as_raw:ident $as_raw_fn:ident $raw:ident,
        $into_raw:ident $into_raw_fn:ident, $owned:ident
    ) => {
        impl<T: $($io)::+::$as> $($io)::+::$as for $ours<T> {
            #[inline]
            fn $as_fn(&self) -> $($io)::+::$borrowed<'_> {
                self.get_ref().$as_fn()
            }
        }

        impl<T: $($io)::+::$as_raw> $($io)::+::$as_raw for $ours<T> {
            #[inline]
            fn $as_raw_fn(&self) -> $($io)::+::$raw {
                self.get_ref().$as_raw_fn()
            }
        }

        impl<T: $($io)::+::$into_raw> $($io)::+::$into_raw for $ours<T> {
            /// Returns the bare handle. **The protection ends here.**
            fn $into_raw_fn(self) -> $($io)::+::$raw {
                self.into_inner().$into_raw_fn()
            }
        }

        impl<T> From<$ours<T>> for $($io)::+::$owned
        where
            $($io)::+::$owned: From<T>,
        {
            /// Returns the bare handle. **The protection ends here.**
            fn from(ours: $ours<T>) -> Self {
                ours.into_inner().into()
            }
        }
    };
}
pub(crate) use adapter_traits;

/// Conversions of a type to and from the original, and the handle traits: on Windows those of a
/// `socket` or of another `handle`.
macro_rules! conversions {
    ($windows:ident $ours:ident, $inner:ty) => {
        impl From<$inner> for $ours {
            /// Adopts the handle: from here on its writes are protected.
            #[inline]
            fn from(inner: $inner) -> Self {
                Self::adopt(inner)
            }
        }

        impl From<$ours> for $inner {
            /// Returns the original type. **The protection ends here.**
            #[inline]
            fn from(ours: $ours) -> Self {
                ours.inner
            }
        }

        impl $ours {
            /// Returns the original type. **The protection ends here**: search for this name to
            /// find each such place.
            #[inline]
            pub fn into_unprotected(self) -> $inner {
                self.inner
            }
        }

        #[cfg(has_fd)]
        $crate::sys::handle::handle_traits! { fd $ours $inner }
        #[cfg(windows)]
        $crate::sys::handle::handle_traits! { $windows $ours $inner }
    };
}
pub(crate) use conversions;

/// The same, and conversions to and from the sockets of any family: ours and socket2's.
macro_rules! net_conversions {
    ($ours:ident, $inner:ty) => {
        $crate::sys::handle::conversions!(socket $ours, $inner);
        $crate::sys::handle::net_conversions! { @from
            socket2::Socket => $ours, $inner,
                "Adopts the socket: from here on its writes are protected.";
            $ours => socket2::Socket, $inner,
                "Returns socket2's own type. **The protection ends here.**";
            $crate::socket2::Socket => $ours, socket2::Socket, "Keeps the protection.";
            $ours => $crate::socket2::Socket, socket2::Socket, "Keeps the protection.";
            $inner => $crate::socket2::Socket, socket2::Socket,
                "Adopts the socket: from here on its writes are protected.";
            $crate::socket2::Socket => $inner, socket2::Socket,
                "Returns std's own type. **The protection ends here.**";
        }
    };
    (@from $($from:ty => $to:ty, $middle:ty, $doc:literal;)+) => {$(
        #[cfg(has_socket2)]
        impl From<$from> for $to {
            #[doc = $doc]
            #[inline]
            fn from(socket: $from) -> Self {
                <$middle>::from(socket).into()
            }
        }
    )+};
}
pub(crate) use net_conversions;

/// Conversions of a pipe end to and from std's, and the handle traits. On Unix also conversions
/// from the pipe ends of a child process. Not on Windows: std opens these for overlapped I/O, and
/// its pipe types abort the process where two calls overlap.
macro_rules! pipe_conversions {
    ($ours:ident, $inner:ty, $($child:ident)+) => {
        $crate::sys::handle::conversions!(handle $ours, $inner);

        impl From<$ours> for std::process::Stdio {
            /// Gives the pipe end to a child. **The protection ends here**: it does not cover the
            /// child's writes.
            fn from(ours: $ours) -> Self {
                ours.inner.into()
            }
        }

        $(
            #[cfg(unix)]
            impl From<std::process::$child> for $ours {
                #[inline]
                fn from(child: std::process::$child) -> Self {
                    std::os::fd::OwnedFd::from(child).into()
                }
            }
        )+
    };
}
pub(crate) use pipe_conversions;
