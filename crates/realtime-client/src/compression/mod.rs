//! Compression of messages (`permessage-deflate`), where it was asked for and the server agrees.
//! Without the feature nothing is offered, and frames are what they are.

#[cfg(not(feature = "deflate"))]
mod off;
#[cfg(feature = "deflate")]
mod on;

use std::borrow::Cow;

#[cfg(not(feature = "deflate"))]
pub(crate) use off::{Agreed, Compression, Wire};
#[cfg(feature = "deflate")]
pub(crate) use on::{Agreed, Compression, Wire};

/// What a server may answer where it was offered nothing: a list without an extension in it. RFC 6455,
/// section 4.1, asks to fail the connection otherwise.
fn accept_nothing(answered: &[&str]) -> Result<Agreed, Cow<'static, str>> {
    let is_empty = |list: &&str| list.bytes().all(|byte| matches!(byte, b',' | b' ' | b'\t'));
    match answered.iter().all(is_empty) {
        true => Ok(Agreed::default()),
        false => Err("it has chosen an extension that wasn't offered".into()),
    }
}
