//! What each session is to get of what was sent to rooms.

use std::io;

/// What each session is to get, where that is certain.
pub(super) struct Owed {
    /// For each session what it has not got yet; `None` where nobody can say.
    of: Vec<Option<u64>>,
    /// The sum of it.
    missing: u64,
}

impl Owed {
    /// Nothing yet. Of some sessions nobody can say what they get.
    pub(super) fn new(sessions: usize, uncertain: impl Iterator<Item = usize>) -> Self {
        let mut of = vec![Some(0); sessions];
        uncertain.for_each(|session| of[session] = None);
        Self { of, missing: 0 }
    }

    /// One message for each of these.
    pub(super) fn add(&mut self, sessions: &[usize]) {
        for session in sessions {
            if let Some(owed) = &mut self.of[*session] {
                *owed += 1;
                self.missing += 1;
            }
        }
    }

    /// A session has got so many.
    pub(super) fn got(&mut self, session: usize, messages: u64) -> io::Result<()> {
        if let Some(owed) = &mut self.of[session] {
            *owed = owed
                .checked_sub(messages)
                .ok_or_else(|| io::Error::other("a message to a room came twice"))?;
            self.missing -= messages;
        }
        Ok(())
    }

    /// Whether all have got what is certain.
    pub(super) fn is_settled(&self) -> bool {
        self.missing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_what_it_is_owed_and_no_more() {
        let mut owed = Owed::new(4, [3].into_iter());
        assert!(owed.is_settled());
        owed.add(&[0, 1, 3]);
        owed.add(&[0]);
        owed.got(0, 2).unwrap();
        owed.got(3, 7).unwrap();
        assert!(!owed.is_settled(), "one is missing");
        owed.got(1, 1).unwrap();
        assert!(owed.is_settled());
        assert!(owed.got(0, 1).is_err(), "it had both");
        assert!(owed.got(2, 1).is_err(), "it is in no room");
    }
}
