//! What the link is like, from the supervisor to those who publish.

/// What the link is like, as publications see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not subscribed, or not any more.
    Idle,
    Up,
    Blocked,
    Down,
    Closed,
}
