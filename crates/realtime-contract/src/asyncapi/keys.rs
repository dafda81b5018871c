//! Routes, patterns and names of types as keys of the document.

/// A route as a key of the document, which has letters, digits and `._-`: every other byte, and `_`
/// itself, in hexadecimal digits, so that no two become the same.
pub(super) fn component(route: &str) -> String {
    key(route, |byte| matches!(byte, b'.' | b'-'))
}

/// The channel of the rooms of a pattern. It has no dots but the first, so that what follows it is
/// told apart from it.
pub(super) fn channel_of(pattern: &str) -> String {
    format!("room.{}", key(pattern, |byte| byte == b'-'))
}

/// The name of a type as a key. Two may become the same: who gives them out tells them apart.
pub(crate) fn type_name(name: &str) -> String {
    key(name, |byte| matches!(byte, b'.' | b'-' | b'_'))
}

fn key(name: &str, is_kept: impl Fn(u8) -> bool) -> String {
    let mut key = String::new();
    for byte in name.bytes() {
        match byte.is_ascii_alphanumeric() || is_kept(byte) {
            true => key.push(byte.into()),
            false => key.push_str(&format!("_{byte:02x}_")),
        }
    }
    key
}
