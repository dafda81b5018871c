//! The trace that a session came from.

use super::Session;
use crate::traces::Origin;

impl Session {
    /// Its request was traced, or not: then nothing is kept.
    pub(crate) fn set_origin(&self, origin: Origin) {
        if origin.is_traced() {
            let _none_before = self.extensions().insert(origin);
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.extensions().get().unwrap_or_default()
    }
}
