//! What the link is like, from the supervisor to those who publish.

use tokio::sync::watch;

/// What the link is like, as publications see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not subscribed, or not any more.
    Idle,
    Up,
    Blocked,
    /// The connection that publishes is made anew, while the other one consumes.
    Receiving,
    Down,
    Closed,
}

impl State {
    /// Whatever happens to the link, a closed broker stays closed.
    pub(crate) fn replace_in(self, state: &watch::Sender<Self>) {
        state.send_if_modified(|state| {
            let changes = *state != Self::Closed && *state != self;
            if changes {
                *state = self;
            }
            changes
        });
    }
}
