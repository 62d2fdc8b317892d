//! The spellings of the handle traits: descriptors, Windows' sockets and handles, nothing.
//!
//! Also `From` both ways between our types, std's and socket2's: *every way to get a handle
//! is owned*, so all of them pass `arm`.

use cfg_if::cfg_if;

cfg_if! {
    if #[cfg(any(unix, target_os = "wasi"))] {
        mod fd;
        pub(crate) use fd::*;
    } else if #[cfg(windows)] {
        mod windows;
        pub(crate) use windows::*;
    } else {
        mod none;
        pub(crate) use none::*;
    }
}

/// Something that std writes to, through a shared reference.
pub(crate) trait StdWrite {
    /// std's own `write`.
    #[allow(dead_code)] // the answer where no SIGPIPE exists
    fn plain_write(&self, buf: &[u8]) -> std::io::Result<usize>;
    /// std's own `write_vectored`.
    fn plain_write_vectored(&self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize>;
}

impl<T> StdWrite for T
where
    for<'a> &'a T: std::io::Write,
{
    fn plain_write(&self, buf: &[u8]) -> std::io::Result<usize> {
        std::io::Write::write(&mut &*self, buf)
    }

    fn plain_write_vectored(&self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
        std::io::Write::write_vectored(&mut &*self, bufs)
    }
}

/// A socket that std writes to as a stream.
pub(crate) trait Stream: Socket + StdWrite {}
impl<S: Socket + StdWrite> Stream for S {}

/// Conversions of a socket type to and from its std twin, and the handle traits.
macro_rules! socket_conversions {
    ($ours:ident, $std:ty $(, $adopt:ident)?) => {
        impl From<$std> for $ours {
            /// Adopts the socket: from here on its writes are protected.
            #[inline]
            fn from(std: $std) -> Self {
                let shield = $crate::sys::SocketShield::default();
                $crate::sys::ShieldSocket::arm(&shield, &std);
                $($crate::sys::$adopt(&std);)?
                Self { std, shield }
            }
        }

        impl From<$ours> for $std {
            /// Gives the type that this one mirrors. **The protection ends here.**
            #[inline]
            fn from(ours: $ours) -> Self {
                ours.std
            }
        }

        $crate::sys::handle::socket_handles!($ours, $std);
    };
}
pub(crate) use socket_conversions;

/// The same, and to and from the sockets of any family: ours and socket2's.
macro_rules! net_conversions {
    ($ours:ident, $std:ty $(, $adopt:ident)?) => {
        $crate::sys::handle::socket_conversions!($ours, $std $(, $adopt)?);
        $crate::sys::handle::socket2_conversions!($ours, $std);
    };
}
pub(crate) use net_conversions;

cfg_if! {
    if #[cfg(any(unix, windows, all(target_os = "wasi", not(target_env = "p1"))))] {
        macro_rules! socket2_conversions {
            ($ours:ident, $std:ty) => {
                impl From<socket2::Socket> for $ours {
                    /// Adopts the socket: from here on its writes are protected.
                    #[inline]
                    fn from(socket: socket2::Socket) -> Self {
                        <$std>::from(socket).into()
                    }
                }

                impl From<$ours> for socket2::Socket {
                    /// Gives socket2's own type. **The protection ends here.**
                    #[inline]
                    fn from(ours: $ours) -> Self {
                        ours.std.into()
                    }
                }

                impl From<$crate::Socket> for $ours {
                    #[inline]
                    fn from(socket: $crate::Socket) -> Self {
                        socket2::Socket::from(socket).into()
                    }
                }

                impl From<$ours> for $crate::Socket {
                    #[inline]
                    fn from(ours: $ours) -> Self {
                        socket2::Socket::from(ours).into()
                    }
                }

                impl From<$std> for $crate::Socket {
                    /// Adopts the socket: from here on its writes are protected.
                    #[inline]
                    fn from(std: $std) -> Self {
                        socket2::Socket::from(std).into()
                    }
                }

                impl From<$crate::Socket> for $std {
                    /// Gives std's own type. **The protection ends here.**
                    #[inline]
                    fn from(socket: $crate::Socket) -> Self {
                        socket2::Socket::from(socket).into()
                    }
                }
            };
        }
    } else {
        macro_rules! socket2_conversions {
            ($ours:ident, $std:ty) => {};
        }
    }
}
pub(crate) use socket2_conversions;

/// Conversions of a pipe end to and from its std twin, and the handle traits. A pipe is not
/// armed here: an end that goes on to a child must reach it untouched.
macro_rules! pipe_conversions {
    ($ours:ident, $std:ty, $($child:ident)+) => {
        impl From<$std> for $ours {
            #[inline]
            fn from(std: $std) -> Self {
                Self::adopt(std)
            }
        }

        impl From<$ours> for $std {
            /// Gives std's own type. **The protection ends here.**
            #[inline]
            fn from(ours: $ours) -> Self {
                ours.std
            }
        }

        impl From<$ours> for std::process::Stdio {
            #[inline]
            fn from(ours: $ours) -> Self {
                ours.std.into()
            }
        }

        $crate::sys::handle::pipe_handles!($ours, $std, $($child)+);
    };
}
pub(crate) use pipe_conversions;
