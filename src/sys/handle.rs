//! Handles: descriptors, Windows' sockets and handles, or none. Their traits in std, for the types
//! of this crate.
//!
//! Also `From` both ways between a type of this crate and the one that it mirrors. Whatever turns
//! a handle into a type of this crate calls the type's `adopt`.

#![allow(unsafe_code, reason = "taking over a raw descriptor is unsafe in std")]

#[cfg(has_fd)]
use std::fs::File;
#[cfg(has_fd)]
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};

#[cfg(has_fd)]
pub(crate) use std::os::fd::{AsFd as AsSocket, OwnedFd as OwnedSocket};
#[cfg(windows)]
pub(crate) use std::os::windows::io::{AsSocket, OwnedSocket};

/// What the adapter asks of a handle: a descriptor, where there are descriptors.
#[cfg(has_fd)]
pub use std::os::fd::AsFd as Handle;

/// What the adapter asks of a handle: nothing.
#[cfg(not(has_fd))]
pub trait Handle {}
#[cfg(not(has_fd))]
impl<T> Handle for T {}

/// A socket's handle, on the path of a write: std inlines `as_raw_fd`, and not `as_fd`.
#[cfg(has_fd)]
pub(crate) trait SocketHandle {
    fn fd(&self) -> BorrowedFd<'_>;
}

#[cfg(has_fd)]
impl<T: AsSocket + AsRawFd> SocketHandle for T {
    #[inline]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: this crate asks only std's handles, socket2's and tokio's, which show the same
        // descriptor by both traits, open for as long as they are borrowed.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

/// Runs `call` with std's `File` over a borrowed descriptor.
#[cfg(has_fd)]
pub(crate) fn as_file<T>(fd: BorrowedFd<'_>, call: impl FnOnce(&File) -> T) -> T {
    // SAFETY: the borrow keeps the descriptor open for as long as `file` lives, and ManuallyDrop
    // leaves closing it to its owner.
    let file = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(fd.as_raw_fd()) });
    call(&file)
}

#[allow(unused_macros, reason = "not every system has handles")]
/// `AsFd` and `AsRawFd`, or Windows' of sockets, for a type `{ inner }`.
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
/// A `struct $ours { inner }` as which a borrowed `$inner` can be lent.
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
                // SAFETY: by `repr(transparent)` above the layout is that of `inner`, and any
                // `inner` makes a valid `Self`.
                unsafe { &*std::ptr::from_ref(inner).cast() }
            }
        }
    };
}
#[allow(unused_imports)]
pub(crate) use transparent;

#[allow(unused_macros, reason = "not every system has handles")]
/// `AsFd` and its kin, or Windows' of sockets or of other handles, for a type `{ inner }`.
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
            /// Gives the bare handle. **The protection ends here.**
            fn $into_raw_fn(self) -> $($io)::+::$raw {
                self.inner.$into_raw_fn()
            }
        }

        #[allow(unsafe_code)] // the function is unsafe in std's trait
        impl $($io)::+::$from_raw for $ours {
            unsafe fn $from_raw_fn(raw: $($io)::+::$raw) -> Self {
                // SAFETY: the caller promises what std asks of it: an open handle that has no
                // other owner.
                unsafe { <$inner as $($io)::+::$from_raw>::$from_raw_fn(raw) }.into()
            }
        }

        impl From<$($io)::+::$owned> for $ours {
            fn from(handle: $($io)::+::$owned) -> Self {
                <$inner>::from(handle).into()
            }
        }

        impl From<$ours> for $($io)::+::$owned {
            /// Gives the bare handle. **The protection ends here.**
            fn from(ours: $ours) -> Self {
                ours.inner.into()
            }
        }
    };
}
pub(crate) use handle_traits;

/// The same for an adapter, which shows what its handle shows.
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
            /// Gives the bare handle. **The protection ends here.**
            fn $into_raw_fn(self) -> $($io)::+::$raw {
                self.into_inner().$into_raw_fn()
            }
        }

        impl<T> From<$ours<T>> for $($io)::+::$owned
        where
            $($io)::+::$owned: From<T>,
        {
            /// Gives the bare handle. **The protection ends here.**
            fn from(ours: $ours<T>) -> Self {
                ours.into_inner().into()
            }
        }
    };
}
pub(crate) use adapter_traits;

/// Conversions of a type to and from the one that it mirrors, and the handle traits; on Windows
/// those of a `socket` or another `handle`.
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
            /// Gives the original type. **The protection ends here.**
            #[inline]
            fn from(ours: $ours) -> Self {
                ours.inner
            }
        }

        impl $ours {
            /// Gives the original type. **The protection ends here**: a search for this name finds
            /// where.
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

/// The same, and to and from the sockets of any family: ours and socket2's.
macro_rules! net_conversions {
    ($ours:ident, $inner:ty) => {
        $crate::sys::handle::conversions!(socket $ours, $inner);
        $crate::sys::handle::net_conversions! { @from
            socket2::Socket => $ours, $inner,
                "Adopts the socket: from here on its writes are protected.";
            $ours => socket2::Socket, $inner,
                "Gives socket2's own type. **The protection ends here.**";
            $crate::socket2::Socket => $ours, socket2::Socket, "Keeps the protection.";
            $ours => $crate::socket2::Socket, socket2::Socket, "Keeps the protection.";
            $inner => $crate::socket2::Socket, socket2::Socket,
                "Adopts the socket: from here on its writes are protected.";
            $crate::socket2::Socket => $inner, socket2::Socket,
                "Gives std's own type. **The protection ends here.**";
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

/// Conversions of a pipe end to and from std's, the handle traits, and the ends that a child
/// process left with us. Not these on Windows: std opens them for overlapped I/O, and its pipe
/// types abort the process where two calls overlap.
macro_rules! pipe_conversions {
    ($ours:ident, $inner:ty, $($child:ident)+) => {
        $crate::sys::handle::conversions!(handle $ours, $inner);

        impl From<$ours> for std::process::Stdio {
            /// **The protection ends here**: what the child writes is its own.
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
