//! Why no link could be made, each cause reported once: with several URLs, or while a server
//! starts, attempts fail in turn for different ones.

use std::error::Error;

use realtime_core::ClientError;

/// How many causes of one outage are reported. Past it, attempts continue in silence.
const MOST: usize = 16;

/// What was reported of one outage.
#[derive(Debug, Default)]
pub(crate) struct Causes(Vec<String>);

impl Causes {
    /// Whether this one is to be reported.
    pub(crate) fn is_new(&mut self, cause: &str) -> bool {
        let is_new = self.0.len() < MOST && self.0.iter().all(|known| known != cause);
        if is_new {
            self.0.push(cause.to_owned());
        }
        is_new
    }
}

/// An error and what lies under it, in one line.
pub(crate) fn with_sources(error: &(dyn Error + 'static)) -> String {
    let causes = ClientError::__causes(error).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_reported_once_and_not_without_end() {
        let mut causes = Causes::default();
        let new = ["a", "b", "a", "b"].map(|cause| causes.is_new(cause));
        assert_eq!(new, [true, true, false, false]);
        let more = (0..100).filter(|n| causes.is_new(&n.to_string()));
        assert_eq!(more.count(), MOST - 2);
    }
}
