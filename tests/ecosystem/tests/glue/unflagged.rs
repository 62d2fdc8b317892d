//! The programs that write one buffer at a time, on streams that pass no flag. The original types
//! pass one on Linux: there the program lives, which is no control.

#[path = "programs/tokio_postgres.rs"]
pub mod tokio_postgres;
#[path = "programs/tokio_tungstenite.rs"]
pub mod tokio_tungstenite;
#[path = "programs/ureq.rs"]
pub mod ureq;

/// The scenes find the programs by the same path as in the other modules.
pub mod programs {
    pub use super::{tokio_postgres, tokio_tungstenite, ureq};
}

pub mod net {
    use std::io;
    use std::net::SocketAddr;
    use std::ops::{Deref, DerefMut};

    use socket2::{Domain, Socket, Type};

    /// socket2 passes no flag.
    #[derive(Debug)]
    pub struct TcpStream(Socket);

    impl TcpStream {
        pub fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.connect(&addresses[0].into())?;
            Ok(TcpStream(socket))
        }
    }

    impl Deref for TcpStream {
        type Target = Socket;

        fn deref(&self) -> &Socket {
            &self.0
        }
    }

    impl DerefMut for TcpStream {
        fn deref_mut(&mut self) -> &mut Socket {
            &mut self.0
        }
    }
}

pub mod tokio {
    pub mod net {
        use std::io;
        use std::net::SocketAddr;
        use std::os::fd::{AsFd, BorrowedFd};
        use std::pin::Pin;
        use std::task::{Context, Poll, ready};

        use ::tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
        use ::tokio::net;

        use crate::support::foreign_write;

        pub struct TcpStream(net::TcpStream);

        impl TcpStream {
            pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
                net::TcpStream::connect(address).await.map(TcpStream)
            }
        }

        impl AsFd for TcpStream {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl AsyncRead for TcpStream {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.0).poll_read(cx, buf)
            }
        }

        impl AsyncWrite for TcpStream {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                loop {
                    ready!(self.0.poll_write_ready(cx))?;
                    match self.0.try_io(Interest::WRITABLE, || foreign_write(&self.0, buf)) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        answer => return Poll::Ready(answer),
                    }
                }
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.0).poll_shutdown(cx)
            }
        }
    }
}
