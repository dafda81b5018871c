//! The grammar of `Sec-WebSocket-Extensions`: RFC 6455, section 9.1, with the lists, tokens, quoted
//! strings and implied space of RFC 2616.

use super::parameters::Parameters;

/// What doesn't follow the grammar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads the values of all headers of that name, in their order. `found` is told the name of each
/// extension, with its parameters as far as they are ours.
pub(super) fn read<'v>(
    values: impl IntoIterator<Item = &'v [u8]>,
    mut found: impl FnMut(&'v [u8], Parameters),
) -> Result<(), Malformed> {
    for value in values {
        let mut rest = Rest(value);
        loop {
            rest.skip_space();
            // A list may have empty items.
            if !rest.is_at_end() && !rest.is_at(b',') {
                let name = rest.token()?;
                found(name, rest.parameters()?);
            }
            if rest.is_at_end() {
                break;
            }
            if !rest.eat(b',') {
                return Err(Malformed);
            }
        }
    }
    Ok(())
}

/// What is left of a value.
struct Rest<'v>(&'v [u8]);

impl<'v> Rest<'v> {
    fn parameters(&mut self) -> Result<Parameters, Malformed> {
        let mut parameters = Parameters::default();
        loop {
            self.skip_space();
            if !self.eat(b';') {
                return Ok(parameters);
            }
            self.skip_space();
            let name = self.token()?;
            self.skip_space();
            let value = match self.eat(b'=') {
                true => {
                    self.skip_space();
                    Some(self.value()?)
                }
                false => None,
            };
            parameters.add(name, value);
        }
    }

    /// A token, or a quoted string that holds one.
    fn value(&mut self) -> Result<Value<'v>, Malformed> {
        if !self.eat(b'"') {
            return self.token().map(Value);
        }
        let (whole, mut length) = (self.0, 0);
        loop {
            match self.next()? {
                b'"' if length == 0 => return Err(Malformed),
                b'"' => break,
                b'\\' => {
                    length += 1;
                    if !is_of_a_token(self.next()?) {
                        return Err(Malformed);
                    }
                }
                byte if is_of_a_token(byte) => {}
                _ => return Err(Malformed),
            }
            length += 1;
        }
        Ok(Value(&whole[..length]))
    }

    fn token(&mut self) -> Result<&'v [u8], Malformed> {
        let is_over = |byte: &u8| !is_of_a_token(*byte);
        let length = self.0.iter().position(is_over).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(length);
        self.0 = rest;
        match token {
            [] => Err(Malformed),
            token => Ok(token),
        }
    }

    fn skip_space(&mut self) {
        while self.eat(b' ') || self.eat(b'\t') {}
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.is_at(byte);
        if is_next {
            self.0 = &self.0[1..];
        }
        is_next
    }

    fn next(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn is_at(&self, byte: u8) -> bool {
        self.0.first() == Some(&byte)
    }

    const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

/// A token, in which each byte may stand behind a backslash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'v>(&'v [u8]);

impl Value<'_> {
    /// The number of bits that it says: 8 to 15, without a leading zero.
    pub(super) fn bits(self) -> Option<u8> {
        // No token has a backslash of its own.
        let mut bytes = self.0.iter().filter(|byte| **byte != b'\\');
        let bits = match (bytes.next()?, bytes.next()) {
            (one @ b'8'..=b'9', None) => one - b'0',
            (b'1', Some(one @ b'0'..=b'5')) => 10 + one - b'0',
            _ => return None,
        };
        bytes.next().is_none().then_some(bits)
    }
}

const fn is_of_a_token(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
        | b'|' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(value: &[u8]) -> Result<Vec<String>, Malformed> {
        let mut names = Vec::new();
        read([value], |name, _| {
            names.push(String::from_utf8_lossy(name).into_owned());
        })?;
        Ok(names)
    }

    #[test]
    fn lists_may_have_space_and_empty_items() {
        for (value, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            (" a\t, b ", &["a", "b"]),
            (",a,, ,b,", &["a", "b"]),
            ("a;b;c=d , e ; f=\"g\"", &["a", "e"]),
            ("a; b=\"\\c\\d\"", &["a"]),
            ("a; b =c, d", &["a", "d"]),
            ("a; b= c, d", &["a", "d"]),
            ("a ;\tb \t = \t\"c\" ; e , d", &["a", "d"]),
        ] {
            let expected = expected.iter().map(ToString::to_string).collect();
            assert_eq!(names(value.as_bytes()), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_does_not_follow_the_grammar_is_malformed() {
        for value in [
            "a b",
            "a;",
            "a;;b",
            "a; b=",
            "a; =b",
            "a; b =",
            "a; b c",
            "a; b = c d",
            "a = b",
            "a; b=\" c\"",
            "a; b=\"",
            "a; b=\"c",
            "a; b=\"\"",
            "a; b=\"c d\"",
            "a; b=\"c\\\"",
            "a; b=\"\\\"\"",
            "a; b=\"c\"d",
            "=",
            "\"a\"",
            ";",
            "a=b",
            "a, ;",
            "a/b",
            "a\0",
            "ä",
            "a; b=ä",
            "a\x0b, b",
        ] {
            assert_eq!(names(value.as_bytes()), Err(Malformed), "{value}");
        }
    }

    #[test]
    fn bits_are_numbers_without_leading_zeros() {
        for n in 0..300u16 {
            let expected = u8::try_from(n).ok().filter(|n| (8..=15).contains(n));
            assert_eq!(Value(n.to_string().as_bytes()).bits(), expected, "{n}");
        }
        for bad in [
            "08",
            "015",
            "1",
            "",
            "+9",
            "9.",
            "0x9",
            "1e1",
            "1000000000000008",
        ] {
            assert_eq!(Value(bad.as_bytes()).bits(), None, "{bad}");
        }
        assert_eq!(Value(b"\\1\\0").bits(), Some(10));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_malformed(value in "[ab=;,\" \\\\\t0-9-]{0,20}") {
            let _either = names(value.as_bytes());
        }
    }
}
