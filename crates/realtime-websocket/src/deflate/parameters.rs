//! The four parameters of the extension: RFC 7692, section 7.1.

use super::extension::Value;

/// The parameters of one offer, or of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<u8>,
    /// In an offer it may be without a value: the server may set a limit.
    pub(super) client_max_window_bits: Option<Option<u8>>,
    /// None is unknown, comes twice, or has a value that it can't have.
    pub(super) are_valid: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: None,
            client_max_window_bits: None,
            are_valid: true,
        }
    }
}

impl Parameters {
    pub(super) fn add(&mut self, name: &[u8], value: Option<Value<'_>>) {
        let bits = value.and_then(Value::bits);
        self.are_valid &= match name {
            b"server_no_context_takeover" => {
                set(&mut self.server_no_context_takeover) && value.is_none()
            }
            b"client_no_context_takeover" => {
                set(&mut self.client_no_context_takeover) && value.is_none()
            }
            b"server_max_window_bits" => {
                bits.is_some()
                    && std::mem::replace(&mut self.server_max_window_bits, bits).is_none()
            }
            b"client_max_window_bits" => {
                bits.is_some() == value.is_some()
                    && self.client_max_window_bits.replace(bits).is_none()
            }
            _ => false,
        };
    }
}

/// Whether it wasn't set before.
const fn set(flag: &mut bool) -> bool {
    !std::mem::replace(flag, true)
}
