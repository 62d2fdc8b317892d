//! The traits of axum, hyper-util and tonic for our listeners and streams. Each calls the crate's
//! own implementation for tokio's type.

/// A listener and its stream.
macro_rules! glue {
    ($listener:ident, $stream:ident) => {
        #[cfg(feature = "axum")]
        impl axum::serve::Listener for super::$listener {
            type Io = super::$stream;
            type Addr = <::tokio::net::$listener as axum::serve::Listener>::Addr;

            async fn accept(&mut self) -> (Self::Io, Self::Addr) {
                let (stream, addr) = axum::serve::Listener::accept(&mut self.inner).await;
                (stream.into(), addr)
            }

            fn local_addr(&self) -> std::io::Result<Self::Addr> {
                self.inner.local_addr()
            }
        }

        #[cfg(feature = "hyper-util")]
        impl hyper_util::client::legacy::connect::Connection for super::$stream {
            fn connected(&self) -> hyper_util::client::legacy::connect::Connected {
                self.inner.connected()
            }
        }

        #[cfg(feature = "tonic")]
        impl tonic::transport::server::Connected for super::$stream {
            type ConnectInfo =
                <::tokio::net::$stream as tonic::transport::server::Connected>::ConnectInfo;

            fn connect_info(&self) -> Self::ConnectInfo {
                self.inner.connect_info()
            }
        }
    };
}

glue!(TcpListener, TcpStream);
#[cfg(unix)]
glue!(UnixListener, UnixStream);
