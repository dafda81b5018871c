//! How far back compressed data refer.

/// The size of a compressor's window: how far back compressed data refer, 512 bytes to 32 KiB.
///
/// The RFC has a window of 256 bytes, too. zlib and its descendants can't compress with that one,
/// so neither do we: a peer that asks for it gets messages that aren't compressed.
///
/// ```
/// use realtime_websocket::deflate::Window;
///
/// assert_eq!(Window::new(10).map(Window::bytes), Some(1024));
/// assert_eq!(Window::new(8), None);
/// assert_eq!(Window::default(), Window::MAX);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window(u8);

impl Window {
    /// 512 bytes.
    pub const MIN: Self = Self(9);
    /// 32 KiB, the default.
    pub const MAX: Self = Self(15);

    /// A window of 2^`bits` bytes, where that is 9 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            9..=15 => Some(Self(bits)),
            _ => None,
        }
    }

    /// Its size as the RFC counts it: the base-2 logarithm of the bytes.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.0
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::MAX
    }
}
