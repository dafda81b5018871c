//! Masking: a client's payload is combined with a key, to protect proxies from it.

/// Masks or unmasks in place. `offset` is how many bytes of the payload came before.
pub(crate) fn apply(data: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    // Eight bytes at a time: the compiler widens this further.
    let wide = u64::from_ne_bytes([
        key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3],
    ]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_agrees_with_the_rfc(mut data: Vec<u8>, key: [u8; 4], offset in 0..9usize) {
            let naive: Vec<u8> =
                data.iter().enumerate().map(|(i, b)| b ^ key[(i + offset) % 4]).collect();
            super::apply(&mut data, key, offset);
            prop_assert_eq!(data, naive);
        }
    }
}
