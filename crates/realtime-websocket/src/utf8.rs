//! UTF-8 checked as it arrives, in pieces that may cut a character in two.

/// Remembers the beginning of a character whose rest has not come yet.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Utf8 {
    begun: [u8; 4],
    len: u8,
}

/// The text is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

impl Utf8 {
    pub(crate) const fn new() -> Self {
        Self {
            begun: [0; 4],
            len: 0,
        }
    }

    /// Forgets what has begun.
    pub(crate) const fn restart(&mut self) {
        self.len = 0;
    }

    /// Checks the next piece, and fails as soon as nothing that could follow would make it valid.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<(), Invalid> {
        while self.len > 0 {
            let Some((&next, rest)) = piece.split_first() else {
                return Ok(());
            };
            self.begun[usize::from(self.len)] = next;
            self.len += 1;
            piece = rest;
            match std::str::from_utf8(&self.begun[..usize::from(self.len)]) {
                Ok(_) => self.len = 0,
                Err(e) if e.error_len().is_some() => return Err(Invalid),
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(e) if e.error_len().is_some() => Err(Invalid),
            Err(e) => {
                let begun = &piece[e.valid_up_to()..];
                self.begun[..begun.len()].copy_from_slice(begun);
                self.len = begun.len() as u8;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_cut_gives_the_verdict_of_the_whole(
            text in prop_oneof![
                any::<String>().prop_map(String::into_bytes),
                prop::collection::vec(prop_oneof![any::<u8>(), Just(0xf0), Just(0x90)], 0..12),
            ],
            cuts: Vec<prop::sample::Index>,
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|i| i.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let mut utf8 = Utf8::default();
            let pieces = at.windows(2).try_for_each(|w| utf8.push(&text[w[0]..w[1]]));
            let whole = std::str::from_utf8(&text).is_ok();
            prop_assert_eq!(pieces.is_ok() && utf8.len == 0, whole);
        }
    }

    proptest! {
        /// The model: a beginning is hopeless when the standard library finds an error in it that
        /// is not merely its end.
        #[test]
        fn it_fails_at_the_first_byte_that_leaves_no_hope(
            start in "[aß€😀]{0,4}",
            then in prop::collection::vec(
                prop_oneof![any::<u8>(), 0x80..=0xbfu8, prop::sample::select(
                    vec![0xc1u8, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5],
                )],
                0..6,
            ),
        ) {
            let text = [start.as_bytes(), &then].concat();
            let mut utf8 = Utf8::default();
            for end in 1..=text.len() {
                let hopeless = std::str::from_utf8(&text[..end])
                    .is_err_and(|e| e.error_len().is_some());
                prop_assert_eq!(utf8.push(&text[end - 1..end]).is_err(), hopeless);
                if hopeless {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_hopeless_beginning_fails_at_once() {
        assert_eq!(Utf8::default().push(b"\xf4\x90"), Err(Invalid));
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.push(b"\xf4"), Ok(()));
        assert_eq!(utf8.push(b"\x90"), Err(Invalid));
    }
}
