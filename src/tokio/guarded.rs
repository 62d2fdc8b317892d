//! [`Guarded`] around an asynchronous reader or writer. Each poll runs under a guard, which ends
//! with the poll.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Guarded;
use crate::sigpipe::suppressed;

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_read(cx, buf))?
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_write(cx, buf))?
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_write_vectored(cx, bufs))?
    }

    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_flush(cx))?
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        suppressed(|| Pin::new(self.get_mut().get_mut()).poll_shutdown(cx))?
    }
}
