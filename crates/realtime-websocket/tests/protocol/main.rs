//! The protocol through the public API.

mod against_tungstenite;
mod conversations;
mod stream;
mod violations;
