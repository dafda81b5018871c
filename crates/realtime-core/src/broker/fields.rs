//! How names and texts stand in envelopes and in their bodies: behind their lengths.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{BrokerError, BrokerErrorKind};
use crate::Text;

/// The longest beginning of a name that has room in an envelope, whole characters of it.
#[inline]
pub(super) fn short(name: &str) -> &str {
    cut(name, 32_000)
}

/// The longest beginning of so many bytes, whole characters of it.
#[inline]
pub(super) fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let whole = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=most).rev().find(whole);
    &text[..end.unwrap_or(0)]
}

#[inline]
pub(super) fn put_name(out: &mut BytesMut, name: &str) {
    out.put_u16(name.len() as u16);
    out.put_slice(name.as_bytes());
}

/// What stands behind a length.
#[inline]
pub(super) fn take(bytes: &mut Bytes) -> Result<Bytes, BrokerError> {
    match bytes.try_get_u16().map(usize::from) {
        Ok(length) if length <= bytes.len() => Ok(bytes.split_to(length)),
        _ => Err(cut_off()),
    }
}

#[inline]
pub(super) fn text(bytes: Bytes) -> Result<Text, BrokerError> {
    Text::try_from(bytes).map_err(|_| not_text())
}

#[cold]
pub(super) fn not_text() -> BrokerError {
    invalid("expected UTF-8; got other bytes")
}

#[cold]
pub(super) fn cut_off() -> BrokerError {
    invalid("expected an envelope; it is cut off")
}

pub(super) fn invalid(context: impl Into<Cow<'static, str>>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::InvalidMessage, context)
}
