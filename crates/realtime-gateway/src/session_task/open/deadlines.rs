//! What happens because time has passed: pings, and peers that are too slow or gone.

use std::{sync::Arc, task::Context, time::Duration};

use super::Open;
use crate::{
    clock::{Millis, NEVER, millis},
    node::Node,
    outbound::Progress,
    session::EndCause,
    session_task::heartbeat::{Beat, Peer, Times},
    transport::Lost,
};

/// How long a message may come as slowly as it likes.
const SLOW_START: Duration = Duration::from_secs(30);
/// A message that has begun and is not complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assembly {
    since: Millis,
    /// What had been received then.
    received: u64,
}

/// A socket that accepts nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    since: Millis,
    /// What it had accepted then.
    written: u64,
}

impl Open {
    /// Everything that happens because time has passed. Returns whether anything did.
    ///
    /// What the peer has sent until now was read before this, or it isn't judged for what is missing.
    pub(super) fn poll_time(&mut self, cx: &mut Context<'_>) -> bool {
        // Before anything is looked at: what comes up behind its look makes the session look once more.
        self.session.wake_at().begin();
        let (has_answered, replier) = self.answer_for_repliers();
        if has_answered {
            self.pump(cx);
        }
        if self.finish_by != NEVER {
            self.session.wake_at().look_again(self.finish_by);
            return self.is_over();
        }
        let progress = self.session.outbox().progress();
        let deadlines = [
            self.watch_assembly(),
            self.watch_writes(cx, progress),
            self.watch_identity(cx),
            replier,
        ];
        let progress = self.session.outbox().progress();
        let peer = Peer {
            received: self.reader.received(),
            written: progress.written,
            relieved: progress.relieved,
            ping_waits: progress.ping_waits,
            unread: self.is_unread(),
        };
        if progress.ping_waits {
            self.pong.waits_to_leave();
        }
        let env = Arc::clone(&self.node.env);
        match self.heartbeat.poll(times(&self.node), &env.clock, peer) {
            Beat::Nothing => {}
            Beat::Ping => {
                let ping = env.dialects.ping(self.session.outbox().dialect());
                let ping = self.pong.begin(ping, longest_pong(&self.node));
                self.session.outbox().set_ping(ping);
                self.pump(cx);
            }
            Beat::Dead => {
                self.session.end(EndCause::PongTimeout);
            }
        }
        if self.session.is_closed() {
            return true;
        }
        let deadlines = deadlines.into_iter().flatten();
        let next = deadlines.fold(self.heartbeat.deadline(), Millis::min);
        self.session.wake_at().look_again(next);
        false
    }

    fn watch_writes(&mut self, cx: &mut Context<'_>, progress: Progress) -> Option<Millis> {
        if !progress.blocked {
            self.stall = None;
            return None;
        }
        let timeout = self.node.config.write_timeout?;
        let (clock, written) = (&self.node.env.clock, progress.written);
        let (now, tick) = (clock.now(), millis(clock.tick()));
        let begins = Stall {
            since: now,
            written,
        };
        let stall = self.stall.get_or_insert_with(|| Box::new(begins));
        if stall.written != written {
            **stall = begins;
        }
        let deadline = stall.since + millis(timeout) + tick;
        if deadline > now {
            return Some(deadline);
        }
        // A slow reader may have made room without the socket being called writable.
        self.session.outbox().insist();
        self.pump(cx);
        if self.session.outbox().progress().written == written {
            self.gone = Some(Lost::Silent);
            self.session.end(EndCause::WriteTimeout);
        }
        // Then it begins anew at the next look.
        Some(now + tick)
    }

    fn watch_assembly(&mut self) -> Option<Millis> {
        if self.session.held().is_part_of_too_much() {
            self.node.hub.relieve_held(&self.node.env.held);
        }
        if !self.reader.is_assembling() {
            self.assembly = None;
            return None;
        }
        let rate = self.node.config.min_message_rate?;
        let (now, received) = (self.node.env.clock.now(), self.reader.received());
        let begins = Assembly {
            since: now,
            received,
        };
        let is_unread = self.is_unread();
        let assembly = self.assembly.get_or_insert_with(|| Box::new(begins));
        if is_unread {
            // Where we are not reading, the peer can't be fast.
            **assembly = begins;
        }
        let earned = (received - assembly.received).saturating_mul(1_000) / u64::from(rate.max(1));
        let deadline = (assembly.since + millis(SLOW_START)).saturating_add(earned);
        if deadline <= now {
            self.session.end(EndCause::MessageTooSlow);
        }
        Some(deadline)
    }
}

/// How long after a ping its pong may come.
pub(super) fn longest_pong(node: &Node) -> Option<Duration> {
    node.config.pong_timeout.or(node.config.heartbeat)
}

pub(super) const fn times(node: &Node) -> Times {
    Times {
        interval: node.config.heartbeat,
        pong_timeout: node.config.pong_timeout,
    }
}
