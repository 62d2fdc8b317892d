//! Macros for the methods and traits that a public type passes on to the type inside.

/// Methods that cannot raise SIGPIPE. Each calls the method of the same name of the type inside,
/// and its docs end with a link to that method.
macro_rules! mirror {
    ($mirrored:literal: $(
        $(#[$meta:meta])*
        fn $name:ident $(<$($generic:ident: $bound:path),+>)? (&self $(, $arg:ident: $ty:ty)* $(,)?)
            -> $ret:ty;
    )+) => {$(
        $(#[$meta])*
        #[doc = concat!("Like [`", $mirrored, "::", stringify!($name), "`].")]
        #[inline]
        pub fn $name $(<$($generic: $bound),+>)? (&self $(, $arg: $ty)*) -> $ret {
            self.inner.$name($($arg),*)
        }
    )+};
}
pub(crate) use mirror;

/// `Read` for `T` and `&T`. A read cannot raise SIGPIPE, so std's own methods do it.
macro_rules! read_by_inner {
    ($ours:ident) => {
        $crate::macros::read_by_inner!(@impl $ours, $ours);
        $crate::macros::read_by_inner!(@impl $ours, &$ours);
    };
    (@impl $ours:ident, $reader:ty) => {
        impl std::io::Read for $reader {
            #[inline]
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                (&self.inner).read(buf)
            }

            #[inline]
            fn read_vectored(
                &mut self,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                (&self.inner).read_vectored(bufs)
            }

            #[inline]
            fn read_to_end(&mut self, buf: &mut Vec<u8>) -> std::io::Result<usize> {
                (&self.inner).read_to_end(buf)
            }

            #[inline]
            fn read_to_string(&mut self, buf: &mut String) -> std::io::Result<usize> {
                (&self.inner).read_to_string(buf)
            }
        }
    };
}
pub(crate) use read_by_inner;

/// `Write` for `T` and `&T`. It calls the type's own `write_one` and `write_slices`.
macro_rules! write_by_own {
    ($ours:ident) => {
        $crate::macros::write_by_own!(@impl $ours, $ours);
        $crate::macros::write_by_own!(@impl $ours, &$ours);
    };
    (@impl $ours:ident, $writer:ty) => {
        impl std::io::Write for $writer {
            #[inline]
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                self.write_one(buf)
            }

            #[inline]
            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.write_slices(bufs)
            }

            #[inline]
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}
pub(crate) use write_by_own;

/// The methods that the two stream types share: their writes, and `sendfile`.
macro_rules! stream_writes {
    ($ours:ident) => {
        $crate::macros::write_by_own!($ours);

        impl $ours {
            #[inline]
            fn write_one(&self, buf: &[u8]) -> std::io::Result<usize> {
                #[cfg(sigpipe)]
                return $crate::sys::socket::write(&self.inner, buf);
                #[cfg(not(sigpipe))]
                std::io::Write::write(&mut &self.inner, buf)
            }

            #[inline]
            fn write_slices(&self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                #[cfg(sigpipe)]
                return $crate::sys::socket::write_vectored(&self.inner, bufs);
                #[cfg(not(sigpipe))]
                std::io::Write::write_vectored(&mut &self.inner, bufs)
            }

            /// Sends a range of a file to the peer, without a copy of it in this process.
            ///
            /// **The file must not change until the peer has received the range**, even after this
            /// call has returned. On Linux the system queues the file's own pages: a later write to
            /// them changes the bytes that the peer receives. [`io::copy`](crate::io::copy()) has
            /// no such condition.
            ///
            /// Returns the number of bytes sent. It is smaller than the range if the file ends
            /// first. It is also smaller if the stream would block, or its write timeout ran out,
            /// after some bytes were sent. Continue from there. The file's own position does not
            /// move.
            ///
            /// ```
            /// # fn main() -> std::io::Result<()> {
            /// use std::fs::File;
            /// use std::io::Read;
            ///
            /// let (stream, mut peer) = epipe::os::unix::net::UnixStream::pair()?;
            /// let sent = stream.sendfile(&File::open("LICENSE-MIT")?, 0..11)?; // `..`: all of it
            /// drop(stream);
            /// let mut received = String::new();
            /// peer.read_to_string(&mut received)?;
            /// assert_eq!((sent, received.as_str()), (11, "MIT License"));
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// The errors of a write, and those of a read of the file. The byte count sent before
            /// an error is not reported. A range that starts beyond `i64::MAX` is `EOVERFLOW`. On
            /// Linux one that starts beyond the longest file of its file system is too. On Apple's
            /// systems a peer that is gone is `ENOTCONN`.
            ///
            /// # Platforms
            ///
            /// `sendfile(2)` on Linux, Android, Apple and FreeBSD. On Linux and Android it runs
            /// under a guard, which costs three system calls more. On other Unix systems, and where
            /// the system refuses `sendfile` for this file, this method reads and writes.
            #[cfg(sigpipe)]
            pub fn sendfile(
                &self,
                file: &std::fs::File,
                range: impl std::ops::RangeBounds<u64>,
            ) -> std::io::Result<u64> {
                $crate::sys::sendfile(&self.inner, file, range)
            }
        }
    };
}
pub(crate) use stream_writes;

/// `Debug` with the output of the type inside.
macro_rules! debug_by_inner {
    ($ours:ident) => {
        impl std::fmt::Debug for $ours {
            #[inline]
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.inner.fmt(f)
            }
        }
    };
}
pub(crate) use debug_by_inner;
