//! Whether the other side of a connection is still there: when to ask it, and when it is given up. A
//! state machine without a socket or a clock.

use std::time::Duration;

use tokio::time::Instant;

/// Whoever is about to be given up has this much longer: this process, too, may have been stopped for
/// a while, and what the server has said meanwhile is heard before it is judged.
const LAST_LOOK: Duration = Duration::from_millis(250);
/// A server that reads so many bytes a second is slow, and there: so is the gateway's measure.
const SLOWEST: usize = 16 * 1024;
const SECOND: Duration = Duration::from_secs(1);
/// However much was said, the answer to a ping isn't waited for longer than this beyond its time.
const LONGEST_MORE: Duration = Duration::from_secs(300);

/// How long a server is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// How long it may be silent before it is asked whether it is there.
    pub(crate) every: Option<Duration>,
    /// How long its answer may take, once it was asked.
    pub(crate) pong: Duration,
    /// How long it may take nothing of what waits for it.
    pub(crate) write: Duration,
}

/// What a server is given up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Silent,
    Stuck,
}

impl Fault {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "the server doesn't answer",
            Self::Stuck => "the server doesn't read",
        }
    }
}

/// What a look at the clock says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Nothing,
    /// To ask the server whether it is there.
    Ask,
    /// To give it up, unless its socket says otherwise right now.
    Judge(Fault),
}

/// Whether the server was asked if it is there, and nothing has come since.
#[derive(Clone, Copy)]
enum Ping {
    None,
    /// It leaves behind so many bytes, its own among them.
    Behind(usize),
    Left(Instant),
}

pub(crate) struct Liveness {
    times: Times,
    opened_at: Instant,
    heard_at: Instant,
    /// Since when something waits to be taken and nothing was.
    stuck_since: Option<Instant>,
    ping: Ping,
    /// How many bytes have left since anything was heard: the answer to a ping comes behind them.
    unanswered: usize,
    /// Until when a server may yet be heard, or may read, that has used up its time.
    last_look: Option<(Instant, Fault)>,
}

impl Liveness {
    pub(crate) const fn new(times: Times, now: Instant) -> Self {
        Self {
            times,
            opened_at: now,
            heard_at: now,
            stuck_since: None,
            ping: Ping::None,
            unanswered: 0,
            last_look: None,
        }
    }

    pub(crate) const fn opened_at(&self) -> Instant {
        self.opened_at
    }

    /// Whether to send a ping, which then leaves behind what waits.
    pub(crate) const fn may_ask(&self) -> bool {
        matches!(self.ping, Ping::None)
    }

    /// A ping waits, and so many bytes with it.
    pub(crate) const fn asks(&mut self, waiting: usize) {
        self.ping = Ping::Behind(waiting);
    }

    /// Something waits to be taken.
    pub(crate) fn waits(&mut self, now: Instant) {
        self.stuck_since.get_or_insert(now);
    }

    /// Something has come.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        (self.ping, self.unanswered) = (Ping::None, 0);
        self.cleared_of(Fault::Silent);
    }

    /// So many bytes were taken; all of them where nothing waits any more.
    pub(crate) fn taken(&mut self, bytes: usize, is_all: bool, now: Instant) {
        self.stuck_since = (!is_all).then_some(now);
        self.unanswered = self.unanswered.saturating_add(bytes);
        self.cleared_of(Fault::Stuck);
        if let Ping::Behind(behind) = self.ping {
            let behind = behind.saturating_sub(bytes);
            self.ping = match behind == 0 || is_all {
                true => Ping::Left(now),
                false => Ping::Behind(behind),
            };
        }
    }

    fn cleared_of(&mut self, fault: Fault) {
        self.last_look = self.last_look.filter(|(_, of)| *of != fault);
    }

    /// How long the answer to a ping may take, which comes behind all that was said before.
    fn patience(&self) -> Duration {
        let seconds = u32::try_from(self.unanswered / SLOWEST).unwrap_or(u32::MAX);
        self.times.pong + SECOND.saturating_mul(seconds).min(LONGEST_MORE)
    }

    /// When to look at the clock.
    pub(crate) fn wake(&self) -> Option<Instant> {
        if let Some((at, _)) = self.last_look {
            return Some(at);
        }
        let silent = match self.ping {
            Ping::None => self.times.every.map(|every| self.heard_at + every),
            Ping::Behind(_) => None,
            Ping::Left(at) => Some(at + self.patience()),
        };
        let stuck = self.stuck_since.map(|since| since + self.times.write);
        silent.into_iter().chain(stuck).min()
    }

    pub(crate) fn look(&mut self, now: Instant) -> Look {
        let is_silent = matches!(self.ping, Ping::Left(at) if now >= at + self.patience());
        let is_over = |since| now >= since + self.times.write;
        let fault = match (is_silent, self.stuck_since.is_some_and(is_over)) {
            (true, _) => Fault::Silent,
            (_, true) => Fault::Stuck,
            _ => {
                self.last_look = None;
                let is_due = |every| now >= self.heard_at + every;
                return match self.may_ask() && self.times.every.is_some_and(is_due) {
                    true => Look::Ask,
                    false => Look::Nothing,
                };
            }
        };
        match self.last_look {
            Some((at, of)) if of == fault && now < at => Look::Nothing,
            Some((_, of)) if of == fault => Look::Judge(fault),
            _ => {
                self.last_look = Some((now + LAST_LOOK, fault));
                Look::Nothing
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        every: Some(Duration::from_secs(25)),
        pong: Duration::from_secs(5),
        write: Duration::from_secs(10),
    };

    #[test]
    fn a_silent_server_is_asked_and_then_looked_at_once_more() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs_f64(seconds);
        let mut liveness = Liveness::new(TIMES, begun);
        assert_eq!(liveness.wake(), Some(at(25.0)));
        assert_eq!(liveness.look(at(24.0)), Look::Nothing);
        assert_eq!(liveness.look(at(25.0)), Look::Ask);
        liveness.waits(at(25.0));
        liveness.asks(6);
        // Its time begins when the ping has left.
        assert_eq!(liveness.wake(), Some(at(35.0)), "of the write");
        liveness.taken(6, false, at(27.0));
        liveness.taken(0, true, at(27.0));
        assert_eq!(liveness.wake(), Some(at(32.0)));
        assert_eq!(liveness.look(at(32.0)), Look::Nothing);
        assert_eq!(liveness.wake(), Some(at(32.25)));
        assert_eq!(liveness.look(at(32.25)), Look::Judge(Fault::Silent));
        liveness.heard(at(32.25));
        assert_eq!(liveness.look(at(40.0)), Look::Nothing);
        assert_eq!(liveness.wake(), Some(at(57.25)));
    }

    #[test]
    fn a_server_that_takes_nothing_is_given_up_whatever_it_says() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut liveness = Liveness::new(TIMES, begun);
        liveness.waits(at(1));
        liveness.taken(100, false, at(5));
        liveness.waits(at(6));
        liveness.heard(at(14));
        assert_eq!(liveness.wake(), Some(at(15)));
        assert_eq!(liveness.look(at(15)), Look::Nothing);
        liveness.heard(at(15));
        assert_eq!(liveness.look(at(16)), Look::Judge(Fault::Stuck));
        liveness.taken(1, false, at(16));
        assert_eq!(liveness.look(at(17)), Look::Nothing);
    }

    #[test]
    fn a_pong_that_comes_behind_much_has_more_time() {
        let begun = Instant::now();
        let mut liveness = Liveness::new(TIMES, begun);
        liveness.waits(begun);
        liveness.asks(6);
        liveness.taken(3 * SLOWEST, true, begun);
        assert_eq!(liveness.wake(), Some(begun + Duration::from_secs(8)));
        liveness.taken(usize::MAX, true, begun);
        assert_eq!(liveness.wake(), Some(begun + LONGEST_MORE + TIMES.pong));
    }
}
