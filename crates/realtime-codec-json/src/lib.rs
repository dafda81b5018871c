//! The JSON codec of the `realtime` gateway, and [`Json<T>`](Json) for handlers.
//!
//! ```text
//!   {"id": "7", "route": "chat", "data": {"said": "hello"}, "metadata": {"lang": "en"}}
//! ```
//!
//! Fields that are empty are left out. `data` is any JSON value and is carried as it came, to the
//! byte: neither the codec nor the gateway looks into it.

mod codec;
mod envelope;
mod json;
mod scan;

pub use codec::JsonCodec;
pub use json::Json;
