//! What one node asks the others to do to their sessions, and what they answer: the bodies of
//! envelopes of the kinds [`Control`](super::envelope::EnvelopeKind::Control) and
//! [`Receipt`](super::envelope::EnvelopeKind::Receipt).
//!
//! The envelope says to which sessions, and under which number the answer is expected. The body is
//! a form of its own, whatever the codec:
//!
//! ```text
//!   control: operation u8 │ milliseconds u32 │ what the operation needs
//!   receipt: outcome   u8 │ what there is to say
//! ```
//! Numbers are big-endian. `docs/wire.md` has it all, with examples.

mod answer;
mod command;
mod outcome;

use std::time::Duration;

pub use answer::ClientAnswer;
pub use command::{Command, Operation};
pub use outcome::Outcome;

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
