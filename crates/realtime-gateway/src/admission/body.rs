//! The body of the gateway's own responses.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Empty, or one short text.
#[derive(Debug, Clone, Default)]
pub struct Body(Option<Bytes>);

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self((!text.is_empty()).then(|| Bytes::from_static(text.as_bytes())))
    }
}

impl From<Vec<u8>> for Body {
    fn from(text: Vec<u8>) -> Self {
        Self((!text.is_empty()).then(|| Bytes::from(text)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |text| text.len() as u64))
    }
}
