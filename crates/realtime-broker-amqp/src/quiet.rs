//! The client library's own thread says nothing in the program's log.
//!
//! There it warns of each message that is returned to it, with all of its properties, and that is how
//! this crate [asks](crate::routes) who is there. What else it says there, of sockets that break, is
//! an event here, and the gateway says it.

use tracing::dispatcher::{Dispatch, set_default};

/// From now on, until the thread ends: it is the library's, and does nothing else.
pub(crate) fn this_thread() {
    std::mem::forget(set_default(&Dispatch::none()));
}
