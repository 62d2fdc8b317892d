//! How a public type says what it delegates, and what it owns.

/// Methods that cannot raise: each calls its namesake of the mirrored type and links it.
macro_rules! mirror {
    ($mirrored:literal: $(
        $(#[$meta:meta])*
        fn $name:ident $(<$($generic:ident: $bound:path),+>)? (&self $(, $arg:ident: $ty:ty)* $(,)?)
            -> $ret:ty;
    )+) => {$(
        #[doc = concat!("Mirrors [`", $mirrored, "::", stringify!($name), "`].")]
        $(#[$meta])*
        #[inline]
        pub fn $name $(<$($generic: $bound),+>)? (&self $(, $arg: $ty)*) -> $ret {
            self.inner.$name($($arg),*)
        }
    )+};
}
pub(crate) use mirror;

/// `Read` for `T` and `&T`: reading cannot raise, so all of it is std's own.
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

/// `Write` for `T` and `&T`, by the type's own `write_one` and `write_slices`.
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

/// What the two stream types of std share: their writes, and `sendfile`.
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

            /// Sends a range of a file without a copy of it in this process:
            /// `stream.sendfile(&file, ..)`.
            ///
            /// **The file must not be changed until the peer has received it**, not even after this
            /// call has returned: on Linux the file's own pages are queued, and what is written to
            /// them later is what the peer gets. [`io::copy`](crate::io::copy()) has no such
            /// condition.
            ///
            /// Returns how many bytes were sent. They are fewer than the range holds if the file
            /// ends before, or if the stream would block (or its write timeout ran out) after some
            /// were sent: go on from there. The file's own position stays.
            ///
            /// # Errors
            ///
            /// Those of a write and of a read of the file. The byte count sent before the error is
            /// not reported. A range that starts beyond `i64::MAX` is `EOVERFLOW`; on Linux also
            /// one that starts beyond the longest file of its file system. On Apple's systems a
            /// peer that is gone is `ENOTCONN`.
            ///
            /// # Platforms
            ///
            /// `sendfile(2)` on Linux, Android, Apple and FreeBSD, under a guard on the first two:
            /// three system calls more. On other Unix systems, and where it is refused for this
            /// file, it reads and writes.
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

/// `Debug` as the mirrored type prints it.
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
