//! From JSON to MessagePack, in one pass.
//!
//! The text is known to be JSON, so this is no check of it. It is read by hand: what `serde_json`
//! says of numbers depends on features that any crate of a program may switch on.

use std::str::FromStr;

use bytes::BytesMut;
use realtime_core::codec::{CodecError, CodecErrorKind};

use crate::{
    MAX_DEPTH,
    write::{Header, Holds, put_bool, put_float, put_nil, put_signed, put_text, put_unsigned},
};

/// Appends one JSON value as MessagePack.
pub(crate) fn put(out: &mut BytesMut, json: &[u8]) -> Result<(), CodecError> {
    let text = std::str::from_utf8(json).map_err(|_| not_json())?;
    let mut text = Text { rest: text };
    text.put_value(out, MAX_DEPTH)?;
    text.skip_space();
    match text.rest {
        "" => Ok(()),
        _ => Err(not_json()),
    }
}

/// What of the text is still to be read.
struct Text<'t> {
    rest: &'t str,
}

impl<'t> Text<'t> {
    /// The next value, within which others may be so deep.
    fn put_value(&mut self, out: &mut BytesMut, depth: usize) -> Result<(), CodecError> {
        self.skip_space();
        match self.rest.as_bytes().first() {
            Some(b'"') => self.put_string(out),
            Some(b'[') => self.put_all(out, depth, Holds::Values),
            Some(b'{') => self.put_all(out, depth, Holds::Pairs),
            Some(b'-' | b'0'..=b'9') => self.put_number(out),
            _ if self.skip("null") => {
                put_nil(out);
                Ok(())
            }
            _ if self.skip("true") => {
                put_bool(out, true);
                Ok(())
            }
            _ if self.skip("false") => {
                put_bool(out, false);
                Ok(())
            }
            _ => Err(not_json()),
        }
    }

    /// An array or an object.
    fn put_all(
        &mut self,
        out: &mut BytesMut,
        depth: usize,
        holds: Holds,
    ) -> Result<(), CodecError> {
        let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
        let (begin, end) = match holds {
            Holds::Pairs => ("{", "}"),
            Holds::Values => ("[", "]"),
        };
        self.expect(begin)?;
        let header = Header::begin(out, holds);
        let mut count = 0;
        self.skip_space();
        if !self.skip(end) {
            loop {
                if holds == Holds::Pairs {
                    self.skip_space();
                    self.put_string(out)?;
                    self.skip_space();
                    self.expect(":")?;
                }
                self.put_value(out, depth)?;
                count += 1;
                self.skip_space();
                if !self.skip(",") {
                    break;
                }
            }
            self.expect(end)?;
        }
        header.end(out, count)
    }

    /// What is written as an integer is one where 64 bits are enough for it. Zero below zero is
    /// no integer.
    fn put_number(&mut self, out: &mut BytesMut) -> Result<(), CodecError> {
        let part = |c: char| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let digits = self.take(end)?;
        if let Ok(number) = u64::from_str(digits) {
            return put_unsigned(out, number);
        }
        match i64::from_str(digits) {
            Ok(number) if number != 0 => put_signed(out, number),
            // One that is too large for it reads as an infinity.
            _ => put_float(out, f64::from_str(digits).map_err(|_| not_json())?),
        }
    }

    fn put_string(&mut self, out: &mut BytesMut) -> Result<(), CodecError> {
        self.expect("\"")?;
        let part = self.take_plain()?;
        if self.skip("\"") {
            return put_text(out, part);
        }
        let mut whole = part.to_owned();
        while !self.skip("\"") {
            self.expect("\\")?;
            whole.push(self.take_escape()?);
            whole.push_str(self.take_plain()?);
        }
        put_text(out, &whole)
    }

    /// What comes before an escape or the end of the string.
    fn take_plain(&mut self) -> Result<&'t str, CodecError> {
        let ends = |byte: &u8| matches!(byte, b'"' | b'\\');
        let end = self.rest.as_bytes().iter().position(ends);
        self.take(end.ok_or_else(not_json)?)
    }

    /// What an escape stands for, behind its backslash.
    fn take_escape(&mut self) -> Result<char, CodecError> {
        Ok(match self.take(1)? {
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => return self.take_unit(),
            other => other.chars().next().ok_or_else(not_json)?,
        })
    }

    /// What one or two `\uXXXX` stand for: half a pair stands for nothing.
    fn take_unit(&mut self) -> Result<char, CodecError> {
        let first = self.take_hex()?;
        if let Some(c) = char::from_u32(first.into()) {
            return Ok(c);
        }
        let before = self.rest;
        if self.skip("\\u") {
            let pair = char::decode_utf16([first, self.take_hex()?]).next();
            if let Some(Ok(c)) = pair {
                return Ok(c);
            }
            self.rest = before;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn take_hex(&mut self) -> Result<u16, CodecError> {
        u16::from_str_radix(self.take(4)?, 16).map_err(|_| not_json())
    }

    fn take(&mut self, bytes: usize) -> Result<&'t str, CodecError> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or_else(not_json)?;
        self.rest = rest;
        Ok(taken)
    }

    fn skip(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, word: &str) -> Result<(), CodecError> {
        match self.skip(word) {
            true => Ok(()),
            false => Err(not_json()),
        }
    }

    fn skip_space(&mut self) {
        // Mostly there is none.
        if let Some(b' ' | b'\t' | b'\n' | b'\r') = self.rest.as_bytes().first() {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        }
    }
}

#[cold]
fn too_deep() -> CodecError {
    let context = format!("expected data that is nested at most {MAX_DEPTH} deep; got more");
    CodecError::new(CodecErrorKind::Encode, context)
}

#[cold]
fn not_json() -> CodecError {
    let context = "expected a payload that is one JSON value; got other text";
    CodecError::new(CodecErrorKind::Encode, context)
}
