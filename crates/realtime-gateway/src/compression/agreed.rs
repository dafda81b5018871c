//! What was agreed with a client.

use realtime_websocket::deflate;

/// What was agreed with a client: by default nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Agreed(pub(super) Option<Terms>);

#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) agreed: deflate::Agreed,
    pub(super) max_ratio: Option<u32>,
    /// It takes the frames that are compressed for all.
    pub(super) takes_shared: bool,
}

impl Agreed {
    /// Whether what it is sent may be compressed.
    pub(crate) fn takes_compressed(self) -> bool {
        self.0.is_some_and(|terms| terms.takes_shared)
    }
}
