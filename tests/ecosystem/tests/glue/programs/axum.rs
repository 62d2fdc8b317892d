use std::{io, net::SocketAddr};

use axum::{Router, serve::ListenerExt as _};

use super::tokio::net::TcpListener;

pub async fn serve(listener: TcpListener, app: Router) -> io::Result<()> {
    // With axum's own `tap_io` the handlers can ask for `ConnectInfo<SocketAddr>`.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
}
