//! Masking: a client's payload is combined with a key that it draws, so that no page can make a
//! client write bytes of the page's choice and confuse a proxy.

/// Masks or unmasks in place, from the start of the key. Returns the key as it continues for the
/// bytes that follow.
pub(crate) fn apply(data: &mut [u8], key: [u8; 4]) -> [u8; 4] {
    // As many bytes at a time as the key has, which the compiler widens to the vectors that the
    // machine has.
    let number = u32::from_le_bytes(key);
    let (words, rest) = data.as_chunks_mut();
    for word in words {
        *word = (u32::from_le_bytes(*word) ^ number).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
    // Bytes to the left.
    let turn = 8 * rest.len() as u32;
    number.rotate_right(turn).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_agrees_with_the_rfc_however_it_is_cut(
            mut data: Vec<u8>, key: [u8; 4], cuts: [prop::sample::Index; 2],
        ) {
            let naive: Vec<u8> = data.iter().enumerate().map(|(i, b)| b ^ key[i % 4]).collect();
            let mut at = cuts.map(|cut| cut.index(data.len() + 1));
            at.sort_unstable();
            let key = super::apply(&mut data[..at[0]], key);
            let key = super::apply(&mut data[at[0]..at[1]], key);
            super::apply(&mut data[at[1]..], key);
            prop_assert_eq!(data, naive);
        }
    }
}
