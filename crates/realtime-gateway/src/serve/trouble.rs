//! Errors of the listener, in the log: a few lines with counts, however many errors there are.

use std::{future::pending, io, time::Duration};

use tokio::time::{Instant, sleep_until};

/// How long no error may occur until the trouble counts as over.
const QUIET: Duration = Duration::from_secs(5);
/// How often it is logged that it continues.
const EVERY: Duration = Duration::from_secs(60);

/// What has gone wrong at the listener, and what the log says of it.
#[derive(Debug, Default)]
pub(super) struct Trouble(Option<Episode>);

/// Errors that follow each other closely.
#[derive(Debug)]
struct Episode {
    errors: u64,
    begun: Instant,
    last: Instant,
    said: Instant,
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Begins,
    GoesOn { errors: u64 },
    Nothing,
}

impl Trouble {
    /// Counts an error. The first one is logged, and then one line a minute.
    pub(super) fn failed(&mut self, error: &io::Error) {
        match self.count() {
            Line::Begins => tracing::warn!(
                target: crate::log_targets::SERVE, %error,
                "connections can't be accepted, and wait; is the limit of open files too low?",
            ),
            Line::GoesOn { errors } => tracing::warn!(
                target: crate::log_targets::SERVE, %error, errors,
                "there are still connections that can't be accepted",
            ),
            Line::Nothing => {}
        }
    }

    /// Waits until the trouble is over, and logs how much of it there was. Never completes while
    /// there is none.
    pub(super) async fn over(&mut self) {
        let Some(Episode { last, .. }) = self.0 else {
            return pending().await;
        };
        sleep_until(last + QUIET).await;
        if let Some(Episode { errors, begun, .. }) = self.0.take() {
            let lasted = last.duration_since(begun);
            tracing::warn!(
                target: crate::log_targets::SERVE, errors, ?lasted, "connections are accepted again",
            );
        }
    }

    fn count(&mut self) -> Line {
        let now = Instant::now();
        let Some(episode) = &mut self.0 else {
            self.0 = Some(Episode {
                errors: 1,
                begun: now,
                last: now,
                said: now,
            });
            return Line::Begins;
        };
        episode.errors += 1;
        episode.last = now;
        if now.duration_since(episode.said) < EVERY {
            return Line::Nothing;
        }
        episode.said = now;
        Line::GoesOn {
            errors: episode.errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn however_many_errors_there_are_the_lines_are_few() {
        let mut trouble = Trouble::default();
        assert!(trouble.over().now_or_never().is_none(), "there is none");
        let (mut lines, pause) = (Vec::new(), Duration::from_millis(50));
        for _ in 0..20 * 125 {
            lines.push(trouble.count());
            assert!(trouble.over().now_or_never().is_none(), "it continues");
            advance(pause).await;
        }
        lines.retain(|line| *line != Line::Nothing);
        let goes_on = |errors| Line::GoesOn { errors };
        assert_eq!(lines, [Line::Begins, goes_on(1_201), goes_on(2_401)]);
        let last = trouble.0.as_ref().unwrap().last;
        trouble.over().await;
        assert_eq!(last.elapsed(), QUIET);
        assert_eq!(trouble.count(), Line::Begins, "it is another one");
    }
}
