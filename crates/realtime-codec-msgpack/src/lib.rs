//! The MessagePack codec of the `realtime` gateway: the envelope of JSON as a map in a binary
//! frame.
//!
//! ```text
//!   {"id": 7, "route": "chat", "data": <bytes, or any other value>, "metadata": {"lang": "en"}}
//!
//!   client            codec                 handler
//!   data: bin    ◄──► the bytes        ◄──► Bytes, Payload::binary
//!   data: other  ◄──► JSON             ◄──► Json<T>
//! ```
//!
//! Handlers know nothing of it: they read JSON or bytes, whoever has sent it. So a gateway may speak
//! both, and who speaks what is chosen by subprotocol.
//!
//! ```
//! use realtime::codec::MsgPackCodec;
//!
//! // The first codec is JSON, which those get who choose none.
//! let gateway = realtime::builder().codec(MsgPackCodec).build()?;
//! # Ok::<(), realtime::error::BuildError>(())
//! ```
//!
//! # What becomes of data that isn't `bin`
//! | MessagePack | JSON |
//! | --- | --- |
//! | nil, true, false, strings, arrays | the same |
//! | the extension of type 0 with one byte, a zero: `undefined` | `null` |
//! | integers | the same, with all their digits |
//! | floating-point numbers | the same, those of 32 bits widened to 64; `null` for NaN and infinities |
//! | maps | objects; keys that are integers become strings |
//! | `bin` within other data | a string of standard base64 |
//! | maps with any other keys, other extension types (dates among them), strings that aren't UTF-8 | the message is malformed |
//!
//! Back again, a JSON number is an integer where it is written as one and has at most 64 bits, and
//! else a floating-point number of 64 bits: an infinity where it is larger than these are. Half of a
//! surrogate pair, which JSON may have in an escape, is U+FFFD. Neither direction takes data that is
//! nested more than 128 deep. Data as JSON has at most six times the bytes of its MessagePack, and a
//! few more.
//!
//! In the data of a `publish`, `data` may be a `bin`, which its members then get as bytes.

mod codec;
mod envelope;
mod from_json;
mod notice;
mod read;
mod to_json;
mod write;

pub use codec::MsgPackCodec;

/// How deep data may be nested, in both directions.
const MAX_DEPTH: usize = 128;
