//! The client library's own thread says nothing in the program's log.
//!
//! There it warns of each message that is returned to it, with all of its properties, and that is how
//! this crate [asks](crate::routes) who is there. It also has an error for each connection that
//! breaks, and for what was sent on it. All of that is an answer or an event here, and the gateway
//! says it once.

use tracing::dispatcher::{Dispatch, set_default};

/// From now on, until the thread ends: it is the library's, and does nothing else.
pub(crate) fn this_thread() {
    std::mem::forget(set_default(&Dispatch::none()));
}
