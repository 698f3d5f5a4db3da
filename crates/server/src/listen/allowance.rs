//! How much a stranger may send. The limit lies under the WebSocket, so that no frame header can make the server set
//! memory aside for somebody who has proved nothing.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::sabotage::{Defence, stands};

/// Bytes that may still be read; shared between the connection and who may lift the limit.
#[derive(Clone)]
pub struct Allowance(Arc<AtomicU64>);

const UNLIMITED: u64 = u64::MAX;

impl Allowance {
    /// So many bytes.
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// As many as come.
    pub fn unlimited() -> Self {
        Self::new(UNLIMITED)
    }

    /// From here on as many as come: the device has authenticated.
    pub fn lift(&self) {
        self.0.store(UNLIMITED, Ordering::Relaxed);
    }

    fn spend(&self, bytes: u64) -> bool {
        match self.0.load(Ordering::Relaxed) {
            UNLIMITED => true,
            left if left >= bytes => {
                // There is one reader, so that only a lift can come between; then the exchange fails and nothing is owed.
                let _ = self.0.compare_exchange(left, left - bytes, Ordering::Relaxed, Ordering::Relaxed);
                true
            }
            _ => !stands(Defence::StrangerAllowance),
        }
    }
}

/// A stream whose reads are counted.
pub struct Metered<S> {
    stream: S,
    allowance: Allowance,
}

impl<S> Metered<S> {
    /// Counts the reads of `stream` against `allowance`.
    pub const fn new(stream: S, allowance: Allowance) -> Self {
        Self { stream, allowance }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = poll {
            let read = buf.filled().len().saturating_sub(before) as u64;
            if !self.allowance.spend(read) {
                // A read that fails has read nothing.
                buf.set_filled(before);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too much before authentication")));
            }
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn c10_a_stranger_gets_no_more_than_its_allowance() {
        let allowance = Allowance::new(10);
        let mut metered = Metered::new([7_u8; 11].as_slice(), allowance);
        assert!(metered.read_to_end(&mut Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn a_lifted_allowance_counts_nothing() {
        let allowance = Allowance::new(10);
        let mut metered = Metered::new([7_u8; 1_000].as_slice(), allowance.clone());
        metered.read_exact(&mut [0; 10]).await.unwrap();
        allowance.lift();
        assert_eq!(metered.read_to_end(&mut Vec::new()).await.unwrap(), 990);
    }
}
