//! Our own compressed frames, read again by those who look at what a client is sent.

use realtime_websocket::{
    Event, Limits, Role,
    deflate::{InflatingDecoder, Policy},
};

/// So much is read of a message at the most.
const MOST: usize = 1024 * 1024;

/// Whether the message in a frame of ours is compressed.
pub(crate) fn is_compressed(frame: &[u8]) -> bool {
    const COMPRESSED: u8 = 0x40;
    frame.first().is_some_and(|first| first & COMPRESSED != 0)
}

/// The message in a compressed frame of ours: `None` where it isn't whole, or is larger than anybody
/// looks at.
pub(crate) fn plain(mut frame: &[u8]) -> Option<Event> {
    // As a client that has asked for what every server may answer.
    let answer = Policy::default().answer([&b"permessage-deflate"[..]])?;
    let agreed = Policy::default()
        .accept([answer.header().as_bytes()])
        .ok()?;
    let limits = Limits::default().with_message(MOST);
    let mut decoder = InflatingDecoder::new(Role::Client, limits, agreed).with_ratio(None);
    decoder.decode(&mut frame).ok()?
}
