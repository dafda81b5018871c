//! Compression of messages (`permessage-deflate`), where it was asked for and the server agrees.
//! Without the feature nothing is offered, and frames are what they are.

#[cfg(not(feature = "deflate"))]
mod off;
#[cfg(feature = "deflate")]
mod on;

#[cfg(not(feature = "deflate"))]
pub(crate) use off::{Agreed, Compression, Wire};
#[cfg(feature = "deflate")]
pub(crate) use on::{Agreed, Compression, Wire};
