//! A client's half of the negotiation.

use super::{Agreed, Flow, NAME, Policy, Window, extension};

/// Why a server's answer can't be accepted. The RFC asks the client to fail the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAnswer {
    /// It doesn't follow the grammar of `Sec-WebSocket-Extensions`.
    #[error("expected a list of extensions in the server's answer; got what is none")]
    Malformed,
    /// It names an extension that wasn't offered.
    #[error("expected no extension but permessage-deflate; the server has chosen another")]
    NotOffered,
    /// It accepts the extension twice.
    #[error("expected permessage-deflate once; the server has accepted it twice")]
    Twice,
    /// A parameter is unknown, comes twice, or has a value that it can't have.
    #[error("expected the parameters of RFC 7692; the server's answer has others")]
    BadParameter,
    /// What the server sends would refer to earlier messages.
    #[error("expected server_no_context_takeover, as offered; the server's answer is without")]
    Takeover,
    /// A window is larger than offered.
    #[error("expected windows of at most the bits that were offered; the server wants larger ones")]
    Window,
}

impl Policy {
    /// A client's offer: the value of the `Sec-WebSocket-Extensions` header of its request.
    ///
    /// ```
    /// use realtime_websocket::deflate::Policy;
    ///
    /// let policy = Policy::default().with_receive_takeover(true).with_send_takeover(true);
    /// assert_eq!(policy.offer(), "permessage-deflate; client_max_window_bits");
    /// ```
    #[must_use]
    pub fn offer(&self) -> String {
        let mut offer = String::from_utf8_lossy(NAME).into_owned();
        if !self.receive_takeover {
            offer += "; server_no_context_takeover";
        }
        if self.receive_window < Window::MAX {
            offer += &format!("; server_max_window_bits={}", self.receive_window.bits());
        }
        if !self.send_takeover {
            offer += "; client_no_context_takeover";
        }
        offer += "; client_max_window_bits";
        if self.send_window < Window::MAX {
            offer += &format!("={}", self.send_window.bits());
        }
        offer
    }

    /// What a client makes of the server's answer to its [`offer`](Self::offer), from the values of
    /// its `Sec-WebSocket-Extensions` headers. `None`: the server has declined, and nothing is
    /// compressed.
    ///
    /// # Errors
    /// The server has accepted what wasn't offered. The connection must be failed.
    ///
    /// ```
    /// use realtime_websocket::deflate::{BadAnswer, Policy};
    ///
    /// let policy = Policy::default();
    /// assert_eq!(policy.accept([]), Ok(None));
    ///
    /// let answer = "permessage-deflate";
    /// assert_eq!(policy.accept([answer.as_bytes()]), Err(BadAnswer::Takeover));
    /// ```
    pub fn accept<'h>(
        &self,
        answered: impl IntoIterator<Item = &'h [u8]>,
    ) -> Result<Option<Agreed>, BadAnswer> {
        let (mut answer, mut wrong) = (None, None);
        extension::read(answered, |name, parameters| {
            if name != NAME {
                wrong = wrong.or(Some(BadAnswer::NotOffered));
            } else if answer.replace(parameters).is_some() {
                wrong = wrong.or(Some(BadAnswer::Twice));
            }
        })
        .map_err(|extension::Malformed| BadAnswer::Malformed)?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        let Some(answer) = answer else {
            return Ok(None);
        };
        // A hint may be without a value, a limit may not.
        if !answer.are_valid || answer.client_max_window_bits == Some(None) {
            return Err(BadAnswer::BadParameter);
        }
        if !self.receive_takeover && !answer.server_no_context_takeover {
            return Err(BadAnswer::Takeover);
        }
        let is_within = |bits: Option<u8>, offered: Window| match bits {
            Some(bits) => bits <= offered.bits(),
            None => offered == Window::MAX,
        };
        let send_bits = answer.client_max_window_bits.flatten();
        if !is_within(answer.server_max_window_bits, self.receive_window)
            || send_bits.is_some_and(|bits| bits > self.send_window.bits())
        {
            return Err(BadAnswer::Window);
        }
        let receive_bits = answer.server_max_window_bits.unwrap_or(u8::MAX);
        Ok(Some(Agreed {
            send: Window::new(send_bits.unwrap_or(self.send_window.bits())).map(|window| Flow {
                window,
                takeover: self.send_takeover && !answer.client_no_context_takeover,
            }),
            receive: Flow {
                window: Window::new(receive_bits.clamp(Window::MIN.bits(), Window::MAX.bits()))
                    .unwrap_or_default(),
                takeover: !answer.server_no_context_takeover,
            },
        }))
    }
}
