//! Bodies of requests, read whole; bodies of responses that come slowly, or not to their end.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::time::Sleep;

/// Why the body of a request is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It is longer than is allowed.
    TooLong,
    /// It breaks off, or is in chunks that are none.
    Broken,
}

/// The whole body of a request. One that comes in one piece, as nearly all do, is not copied.
pub(super) async fn whole<B>(mut body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let (mut first, mut all) = (Bytes::new(), Vec::new());
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // Trailers say nothing here.
        let Ok(piece) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if piece.len() + first.len() + all.len() > limit {
            return Err(BodyError::TooLong);
        }
        if first.is_empty() && all.is_empty() {
            first = piece;
            continue;
        }
        if all.is_empty() {
            all = std::mem::take(&mut first).to_vec();
        }
        all.extend_from_slice(&piece);
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// A body in pieces.
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    /// The pause before each piece.
    pause: Duration,
    sleeping: Option<Pin<Box<Sleep>>>,
    /// Whether the connection breaks where the body would go on.
    breaks: bool,
}

impl Pieces {
    /// The first `length` bytes; then the connection is closed.
    pub(super) fn cut(body: &[u8], length: usize) -> Body {
        let first = Bytes::copy_from_slice(&body[..length.min(body.len())]);
        // A pause makes sure that what is sent has left before the connection goes.
        let pause = Duration::from_millis(1);
        Body::new(Pieces { pieces: VecDeque::from([first]), pause, sleeping: None, breaks: true })
    }

    /// The whole body, `size` bytes at a time.
    pub(super) fn slowly(body: &[u8], size: usize, pause: Duration) -> Body {
        let pieces = body.chunks(size.max(1)).map(Bytes::copy_from_slice).collect();
        Body::new(Pieces { pieces, pause, sleeping: None, breaks: false })
    }
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.pieces.is_empty() && !self.breaks {
            return Poll::Ready(None);
        }
        let pause = self.pause;
        let sleeping = self.sleeping.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        if sleeping.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.sleeping = None;
        Poll::Ready(Some(match self.pieces.pop_front() {
            Some(piece) => Ok(Frame::data(piece)),
            None => Err(io::Error::other("a fault has cut the response")),
        }))
    }
}
