//! What a member of a room got, against what was sent to it.

use serde::Serialize;

/// What is wrong with a book.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    /// Numbers that were sent and never came.
    pub(super) missing: u64,
    /// Numbers that came again, each time that they did.
    pub(super) doubled: u64,
    /// Numbers that came for the first time after a later one.
    pub(super) out_of_order: u64,
    /// Numbers that were never sent.
    pub(super) unknown: u64,
}

impl Verdict {
    pub(super) fn is_right(&self) -> bool {
        *self == Self::default()
    }
}

/// Checks the numbers that came, in the order in which they did, where 1 to `sent` were sent.
pub(super) fn check(came: &[u64], sent: u64) -> Verdict {
    let mut verdict = Verdict::default();
    let mut seen = vec![false; usize::try_from(sent).unwrap_or(usize::MAX)];
    let mut latest = 0;
    for number in came {
        let place = number
            .checked_sub(1)
            .and_then(|at| usize::try_from(at).ok());
        match place.and_then(|at| seen.get_mut(at)) {
            None => verdict.unknown += 1,
            Some(true) => verdict.doubled += 1,
            Some(first) => {
                *first = true;
                if *number < latest {
                    verdict.out_of_order += 1;
                }
                latest = latest.max(*number);
            }
        }
    }
    verdict.missing = seen.iter().filter(|seen| !**seen).count() as u64;
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_once_and_in_order_is_right() {
        assert!(check(&[1, 2, 3, 4], 4).is_right());
        assert!(check(&[], 0).is_right());
    }

    #[test]
    fn a_drop_is_seen_wherever_it_is() {
        let dropped = |missing| Verdict {
            missing,
            ..Verdict::default()
        };
        assert_eq!(check(&[2, 3, 4], 4), dropped(1));
        assert_eq!(check(&[1, 3, 4], 4), dropped(1));
        assert_eq!(check(&[1, 2], 4), dropped(2));
        assert_eq!(check(&[], 4), dropped(4));
    }

    #[test]
    fn a_double_is_seen_next_to_the_first_and_far_from_it() {
        let doubled = |doubled| Verdict {
            doubled,
            ..Verdict::default()
        };
        assert_eq!(check(&[1, 2, 2, 3], 3), doubled(1));
        assert_eq!(check(&[1, 2, 3, 1], 3), doubled(1));
        assert_eq!(check(&[1, 2, 3, 2, 3], 3), doubled(2));
    }

    #[test]
    fn a_swap_is_seen() {
        let swapped = |out_of_order| Verdict {
            out_of_order,
            ..Verdict::default()
        };
        assert_eq!(check(&[1, 3, 2, 4], 4), swapped(1));
        assert_eq!(check(&[4, 1, 2, 3], 4), swapped(3));
    }

    #[test]
    fn what_was_never_sent_is_seen() {
        let unknown = Verdict {
            unknown: 2,
            ..Verdict::default()
        };
        assert_eq!(check(&[0, 1, 2, 3], 2), unknown);
    }

    #[test]
    fn one_wrong_does_not_hide_another() {
        let all = Verdict {
            missing: 1,
            doubled: 1,
            out_of_order: 1,
            unknown: 0,
        };
        assert_eq!(check(&[2, 1, 2, 4], 4), all);
    }
}
