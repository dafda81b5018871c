//! Why something fails, each cause reported once.

/// How many causes are reported. Past it, attempts continue in silence.
const MOST: usize = 16;

/// What was reported of one outage: attempts to reach a server, without end, may fail in turn for
/// different reasons, and each is told once.
///
/// ```
/// use realtime::node::Causes;
///
/// let mut causes = Causes::default();
/// let is_new = ["refused", "no answer", "refused"].map(|cause| causes.is_new(cause));
/// assert_eq!(is_new, [true, true, false]);
/// ```
#[derive(Debug, Default)]
pub struct Causes(Vec<String>);

impl Causes {
    /// Whether this one is to be reported: it wasn't yet, and no more than 15 others were.
    #[must_use]
    pub fn is_new(&mut self, cause: &str) -> bool {
        let is_new = self.0.len() < MOST && self.0.iter().all(|known| known != cause);
        if is_new {
            self.0.push(cause.to_owned());
        }
        is_new
    }

    /// The outage is over.
    pub fn clear(&mut self) {
        self.0.clear();
    }
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
        causes.clear();
        assert!(causes.is_new("a"));
    }
}
