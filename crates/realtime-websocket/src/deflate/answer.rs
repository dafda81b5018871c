//! A server's half of the negotiation.

use super::{Agreed, Flow, NAME, Policy, Window, extension, parameters::Parameters};

/// What a server answers to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    agreed: Agreed,
    header: String,
}

impl Answer {
    /// What is agreed on by it.
    #[must_use]
    pub const fn agreed(&self) -> Agreed {
        self.agreed
    }

    /// The value of the `Sec-WebSocket-Extensions` header of the answer.
    #[must_use]
    pub fn header(&self) -> &str {
        &self.header
    }
}

impl Policy {
    /// A server's answer to the values of a request's `Sec-WebSocket-Extensions` headers, in their
    /// order. `None`: there is nothing to be accepted, so there is no compression, and no header in
    /// the answer.
    ///
    /// The first offer that can be accepted is. One with a parameter that is unknown, comes twice, or
    /// has a value that it can't have, is declined, and so is one that asks for a window of 256 bytes
    /// for what the server sends, which zlib can't compress with. Headers that don't follow the
    /// grammar offer nothing: the RFC lets a server fail such a handshake, but a connection that
    /// works without compression is of more use.
    ///
    /// ```
    /// use realtime_websocket::deflate::Policy;
    ///
    /// let offered = "permessage-deflate; server_max_window_bits=8, permessage-deflate";
    /// let answer = Policy::default().with_send_takeover(true).answer([offered.as_bytes()]);
    /// let header = answer.as_ref().map(|answer| answer.header());
    /// assert_eq!(header, Some("permessage-deflate; client_no_context_takeover"));
    /// ```
    #[must_use]
    pub fn answer<'h>(&self, offered: impl IntoIterator<Item = &'h [u8]>) -> Option<Answer> {
        let mut answer = None;
        extension::read(offered, |name, offer| {
            if answer.is_none() && name == NAME && offer.are_valid {
                answer = self.answer_to(&offer);
            }
        })
        .ok()?;
        answer
    }

    fn answer_to(&self, offer: &Parameters) -> Option<Answer> {
        let mut header = String::from_utf8_lossy(NAME).into_owned();

        let mut send = Flow {
            window: self.send_window,
            takeover: self.send_takeover && !offer.server_no_context_takeover,
        };
        if !send.takeover {
            header += "; server_no_context_takeover";
        }
        if let Some(bits) = offer.server_max_window_bits {
            send.window = send.window.min(Window::new(bits)?);
        }
        if offer.server_max_window_bits.is_some() || send.window < Window::MAX {
            header += &format!("; server_max_window_bits={}", send.window.bits());
        }

        let mut receive = Flow {
            window: Window::MAX,
            // A client that says that it won't is taken at its word, and told so.
            takeover: self.receive_takeover && !offer.client_no_context_takeover,
        };
        if !receive.takeover {
            header += "; client_no_context_takeover";
        }
        if let Some(hint) = offer.client_max_window_bits {
            let bits = self.receive_window.bits().min(hint.unwrap_or(u8::MAX));
            if bits < Window::MAX.bits() {
                header += &format!("; client_max_window_bits={bits}");
            }
            receive.window = Window::new(bits).unwrap_or(Window::MIN);
        }

        let agreed = Agreed {
            send: Some(send),
            receive,
        };
        Some(Answer { agreed, header })
    }
}
