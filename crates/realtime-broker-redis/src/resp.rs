//! What Redis says on the wire (RESP2), with a bound on its size.
//!
//! A message that is larger than is allowed is skipped without being kept, but for its beginning, and
//! said so: to end the connection for it would lose what stands behind it, for every node that gets it.
//!
//! Why not the crate `redis-protocol`, which the client of presence stands on: it has no bound on
//! the size of an item nor on how deep arrays lie in one another, and doesn't skip; it doesn't say
//! how much is missing of a large item, so that the buffer grows by doubling and copies; and a
//! small item that waits for the gateway keeps alive the whole buffer that it was read into. All
//! that is left of it then is the grammar, which is a page. The fuzz target `resp` holds this one to
//! that page.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::time::Instant;
use tokio_util::codec::Decoder;

/// The longest line, such as an error.
const LINE: usize = 64 * 1024;
/// How many items an array may have, and how deep they may lie in one another.
const ITEMS: i64 = 1 << 20;
const DEPTH: usize = 8;
/// Smaller ones are copied, so that none of them keeps a whole buffer alive.
const SMALL: usize = 4 * 1024;
/// How much is kept of an item that is too large: who sent it stands there, and under which number.
pub(crate) const BEGINNING: usize = 640;

/// One thing that Redis says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Array(Vec<Frame>),
    Bulk(Bytes),
    Error(String),
    Null,
    Number(i64),
    Simple(String),
    /// The last item of an answer, which was larger than is allowed.
    TooLarge {
        size: u64,
        /// Its first bytes.
        beginning: Bytes,
    },
}

/// Reads frames of a bounded size.
#[derive(Debug)]
pub(crate) struct Frames {
    limit: usize,
    /// What is left of an item that is too large.
    skip: u64,
    /// When bytes were last there.
    last_byte: Option<Instant>,
}

impl Frames {
    /// No item is larger than this, and neither are all of an answer together, but for their names.
    pub(crate) fn of_at_most(limit: usize) -> Self {
        Self {
            limit,
            skip: 0,
            last_byte: None,
        }
    }

    /// When something was last read, be it a part of something large.
    pub(crate) fn last_byte(&self) -> Option<Instant> {
        self.last_byte
    }
}

/// A frame as it lies in the buffer.
enum Found {
    Array(Vec<Found>),
    Bulk(Range<usize>),
    Error(Range<usize>),
    Null,
    Number(i64),
    Simple(Range<usize>),
    TooLarge { size: u64, beginning: Range<usize> },
}

enum Stop {
    /// So many more bytes are needed, at least.
    Incomplete(usize),
    Invalid(&'static str),
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    limit: usize,
    skip: u64,
}

impl Reader<'_> {
    fn line(&mut self) -> Result<Range<usize>, Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let window = rest.get(..LINE).unwrap_or(rest);
        let Some(length) = window.windows(2).position(|two| two == b"\r\n") else {
            return Err(match rest.len() < LINE {
                true => Stop::Incomplete(1),
                false => Stop::Invalid("a line without an end"),
            });
        };
        let start = self.at;
        self.at += length + 2;
        Ok(start..start + length)
    }

    fn number(&mut self) -> Result<i64, Stop> {
        let line = self.line()?;
        let digits = self.bytes.get(line).unwrap_or_default();
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|d| d.parse().ok());
        number.ok_or(Stop::Invalid("something else in place of a number"))
    }

    /// `is_last`: nothing of the answer stands behind it.
    fn frame(&mut self, depth: usize, is_last: bool) -> Result<Found, Stop> {
        let kind = *self.bytes.get(self.at).ok_or(Stop::Incomplete(1))?;
        self.at += 1;
        match kind {
            b'+' => self.line().map(Found::Simple),
            b'-' => self.line().map(Found::Error),
            b':' => self.number().map(Found::Number),
            b'$' => self.bulk(is_last),
            b'*' if depth < DEPTH => match self.number()? {
                -1 => Ok(Found::Null),
                count @ 0..=ITEMS => {
                    let mut items = Vec::new();
                    for n in 0..count {
                        items.push(self.frame(depth + 1, is_last && n + 1 == count)?);
                    }
                    Ok(Found::Array(items))
                }
                _ => Err(Stop::Invalid("an array of an impossible length")),
            },
            b'*' => Err(Stop::Invalid("arrays that lie too deep in one another")),
            _ => Err(Stop::Invalid("a kind of answer that is not known")),
        }
    }

    fn bulk(&mut self, is_last: bool) -> Result<Found, Stop> {
        let length = match self.number()? {
            -1 => return Ok(Found::Null),
            length => u64::try_from(length).map_err(|_| Stop::Invalid("a negative length"))?,
        };
        let here = self.bytes.len() - self.at;
        match usize::try_from(length).ok().filter(|l| *l <= self.limit) {
            Some(length) => match (length + 2).checked_sub(here) {
                Some(missing @ 1..) => Err(Stop::Incomplete(missing)),
                _ => {
                    let start = self.at;
                    self.at += length + 2;
                    Ok(Found::Bulk(start..start + length))
                }
            },
            None if is_last => {
                let kept = usize::try_from(length).map_or(BEGINNING, |l| l.min(BEGINNING));
                if let Some(missing @ 1..) = kept.checked_sub(here) {
                    return Err(Stop::Incomplete(missing));
                }
                let beginning = self.at..self.at + kept;
                let whole = length.saturating_add(2);
                let skipped = here.min(usize::try_from(whole).unwrap_or(here));
                self.at += skipped;
                self.skip = whole - skipped as u64;
                Ok(Found::TooLarge {
                    size: length,
                    beginning,
                })
            }
            None => Err(Stop::Invalid("an answer that is too large")),
        }
    }
}

fn take(found: Found, whole: &Bytes) -> Frame {
    let text = |range| String::from_utf8_lossy(&whole[range]).into_owned();
    match found {
        Found::Array(items) => {
            Frame::Array(items.into_iter().map(|item| take(item, whole)).collect())
        }
        Found::Bulk(range) if range.len() <= SMALL => {
            Frame::Bulk(Bytes::copy_from_slice(&whole[range]))
        }
        Found::Bulk(range) => Frame::Bulk(whole.slice(range)),
        Found::Error(line) => Frame::Error(text(line)),
        Found::Null => Frame::Null,
        Found::Number(number) => Frame::Number(number),
        Found::Simple(line) => Frame::Simple(text(line)),
        Found::TooLarge { size, beginning } => Frame::TooLarge {
            size,
            beginning: Bytes::copy_from_slice(&whole[beginning]),
        },
    }
}

impl Decoder for Frames {
    type Item = Frame;
    type Error = std::io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Self::Error> {
        // It is called after each read, and before the next.
        if !buffer.is_empty() {
            self.last_byte = Some(Instant::now());
        }
        let skipped = buffer
            .len()
            .min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        buffer.advance(skipped);
        self.skip -= skipped as u64;
        if self.skip > 0 || buffer.is_empty() {
            return Ok(None);
        }
        let invalid = |what| Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
        let mut reader = Reader {
            bytes: buffer,
            at: 0,
            limit: self.limit,
            skip: 0,
        };
        match reader.frame(0, true) {
            Ok(found) => {
                self.skip = reader.skip;
                let end = reader.at;
                let whole = buffer.split_to(end).freeze();
                Ok(Some(take(found, &whole)))
            }
            Err(Stop::Incomplete(_)) if buffer.len() > self.limit.saturating_add(2 * LINE) => {
                invalid("Redis sent an answer that is too large")
            }
            Err(Stop::Incomplete(missing)) => {
                buffer.reserve(missing);
                Ok(None)
            }
            Err(Stop::Invalid(what)) => invalid(what),
        }
    }
}

/// Puts a command behind what waits to be written.
pub(crate) fn put(out: &mut BytesMut, words: &[&[u8]]) {
    let line = |out: &mut BytesMut, kind: u8, number: usize| {
        out.put_u8(kind);
        out.put_slice(number.to_string().as_bytes());
        out.put_slice(b"\r\n");
    };
    line(out, b'*', words.len());
    for word in words {
        line(out, b'$', word.len());
        out.put_slice(word);
        out.put_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Frame {
        Frame::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Reads what comes in pieces of so many bytes.
    fn read(bytes: &[u8], piece: usize, limit: usize) -> Result<Vec<Frame>, String> {
        let (mut frames, mut buffer, mut read) =
            (Frames::of_at_most(limit), BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece.max(1)) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = frames.decode(&mut buffer).map_err(|e| e.to_string())? {
                read.push(frame);
            }
        }
        Ok(read)
    }

    #[test]
    fn everything_that_redis_says_is_read_in_any_pieces() {
        let bytes = b"+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n\
            *3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\na\r\nb\r\n*2\r\n*1\r\n:1\r\n$1\r\nx\r\n";
        let expected = [
            Frame::Simple("OK".to_owned()),
            Frame::Error("ERR no".to_owned()),
            Frame::Number(-7),
            Frame::Null,
            Frame::Null,
            Frame::Array(vec![]),
            text(""),
            Frame::Array(vec![text("message"), text("c"), text("a\r\nb")]),
            Frame::Array(vec![Frame::Array(vec![Frame::Number(1)]), text("x")]),
        ];
        for piece in 1..bytes.len() {
            assert_eq!(read(bytes, piece, 100).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn what_is_too_large_is_skipped_and_nothing_else() {
        let large = format!("beginning{}", "x".repeat(991));
        for size in [101, BEGINNING, 1_000] {
            let item = &large[..size];
            let bytes = format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${size}\r\n{item}\r\n+OK\r\n");
            for piece in [1, 7, 639, 999, 5_000] {
                let frames = read(bytes.as_bytes(), piece, 100).unwrap();
                let [Frame::Array(items), Frame::Simple(_)] = &frames[..] else {
                    panic!("{frames:?}");
                };
                let beginning = Bytes::copy_from_slice(&item.as_bytes()[..size.min(BEGINNING)]);
                let size = size as u64;
                assert_eq!(items[2], Frame::TooLarge { size, beginning });
            }
        }
        let in_front = format!("*2\r\n$1000\r\n{large}\r\n$1\r\nx\r\n");
        assert!(read(in_front.as_bytes(), 5_000, 100).is_err());
    }

    #[test]
    fn what_has_no_bound_is_refused() {
        for bytes in [
            "*1048577\r\n".to_owned(),
            "$-2\r\n".to_owned(),
            "*1\r\n".repeat(20),
            format!("+{}", "x".repeat(70_000)),
            "HTTP/1.1 400 Bad Request\r\n".to_owned(),
            format!(
                "*5000\r\n{}",
                format!("$99\r\n{}\r\n", "x".repeat(99)).repeat(3_000)
            ),
        ] {
            assert!(read(bytes.as_bytes(), 8_192, 100).is_err(), "{:.30}", bytes);
        }
    }

    #[test]
    fn a_command_is_an_array_of_words() {
        let mut out = BytesMut::new();
        put(&mut out, &[b"PUBLISH", b"c", b"\r\n"]);
        assert_eq!(
            &out[..],
            b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$2\r\n\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn garbage_is_refused_or_read_and_never_panics(bytes: Vec<u8>, kind in "[-+:$*]") {
            let bytes = [kind.into_bytes(), bytes].concat();
            drop(read(&bytes, 3, 100));
        }

        #[test]
        fn lines_of_any_text_are_read_or_refused(text in "[-+:$*0-9\r\n]{0,60}") {
            drop(read(text.as_bytes(), 5, 10));
        }
    }
}
