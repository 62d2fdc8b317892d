
mod for_std {
    use super::{recv_with_fd, send_with_fd, RecvWithFd, SendWithFd};
    use std::io::Result;
    use std::os::unix::io::{AsRawFd, RawFd};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    impl SendWithFd for UnixStream {
        fn send_with_fd(&self, bytes: &[u8], fds: &[RawFd]) -> Result<usize> {
            send_with_fd(self.as_raw_fd(), bytes, fds)
        }
    }

    impl RecvWithFd for UnixStream {
        fn recv_with_fd(&self, bytes: &mut [u8], fds: &mut [RawFd]) -> Result<(usize, usize)> {
            recv_with_fd(self.as_raw_fd(), bytes, fds)
        }
    }

    impl SendWithFd for UnixDatagram {
        fn send_with_fd(&self, bytes: &[u8], fds: &[RawFd]) -> Result<usize> {
            send_with_fd(self.as_raw_fd(), bytes, fds)
        }
    }

    impl RecvWithFd for UnixDatagram {
        fn recv_with_fd(&self, bytes: &mut [u8], fds: &mut [RawFd]) -> Result<(usize, usize)> {
            recv_with_fd(self.as_raw_fd(), bytes, fds)
        }
    }
}
