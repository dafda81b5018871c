//! What one side wants of the extension, and what both have agreed on.

use super::Window;

/// What this side wants, be it a server ([`answer`](Self::answer)) or a client
/// ([`offer`](Self::offer), [`accept`](Self::accept)). By default neither direction has takeover, and
/// windows are 32 KiB.
///
/// ```
/// use realtime_websocket::deflate::{Policy, Window};
///
/// let policy = Policy::default().with_receive_window(Window::MIN);
/// assert!(!policy.send_takeover && !policy.receive_takeover);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Policy {
    /// Whether what is sent may refer to the messages before it, where the peer lets us. It takes a
    /// [`Compressor`](super::Compressor) for each connection, and no frame is the same for two.
    /// Default `false`.
    pub send_takeover: bool,
    /// How far back what is sent may refer. Default 32 KiB.
    pub send_window: Window,
    /// Whether what comes may refer to the messages before it. An inflater is then kept for each
    /// connection, 56 KB. Default `false`.
    pub receive_takeover: bool,
    /// How far back what comes may refer. A smaller window saves memory of the peer's, not of
    /// ours. A server can't ask it of a client that doesn't offer it. Default 32 KiB.
    pub receive_window: Window,
}

impl Policy {
    /// Sets whether what is sent may refer to the messages before it.
    #[must_use]
    pub const fn with_send_takeover(mut self, takeover: bool) -> Self {
        self.send_takeover = takeover;
        self
    }

    /// Sets how far back what is sent may refer.
    #[must_use]
    pub const fn with_send_window(mut self, window: Window) -> Self {
        self.send_window = window;
        self
    }

    /// Sets whether what comes may refer to the messages before it.
    #[must_use]
    pub const fn with_receive_takeover(mut self, takeover: bool) -> Self {
        self.receive_takeover = takeover;
        self
    }

    /// Sets how far back what comes may refer.
    #[must_use]
    pub const fn with_receive_window(mut self, window: Window) -> Self {
        self.receive_window = window;
        self
    }
}

/// What both sides have agreed on, as this side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Agreed {
    /// How what we send may be compressed. `None` where the peer's window is smaller than any that
    /// we can compress with: what we send stays plain, as any message may.
    pub send: Option<Flow>,
    /// How what comes is compressed, where it is.
    pub receive: Flow,
}

impl Agreed {
    /// Whether a frame of a [shared compressor](super::Compressor::new) may be sent to this peer, if
    /// its payload had so many bytes.
    ///
    /// Not where what we send refers to earlier messages: the peer would take the frame into its
    /// window, and the connection's own compressor wouldn't know of it. And not where the payload is
    /// larger than a small window: it may refer further back than the peer remembers.
    ///
    /// ```
    /// use realtime_websocket::deflate::Policy;
    ///
    /// let answer = |offered: &str| Policy::default().answer([offered.as_bytes()]).unwrap();
    /// assert!(answer("permessage-deflate").agreed().takes_shared(1 << 20));
    ///
    /// let small = answer("permessage-deflate; server_max_window_bits=10").agreed();
    /// assert!(small.takes_shared(1024) && !small.takes_shared(1025));
    /// ```
    #[must_use]
    pub const fn takes_shared(&self, payload: usize) -> bool {
        match self.send {
            Some(Flow {
                takeover: false,
                window,
            }) => window.bits() == Window::MAX.bits() || payload <= window.bytes(),
            _ => false,
        }
    }
}

/// How messages of one direction are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Flow {
    /// How far back they refer at the most.
    pub window: Window,
    /// Whether they refer to the messages before them.
    pub takeover: bool,
}
