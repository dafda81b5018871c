//! Counts a server's frames as fast as the generator needs it: payloads that are expected are
//! skipped, not copied, and their text isn't checked.

use std::io;

/// The largest frame that is kept: what a server says besides the expected messages.
const MOST: u64 = 64 * 1024;

const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// A frame that is no expected message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    /// The opcode's bits, as in the RFC.
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// Where one connection's stream of frames stands.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    header: [u8; 10],
    header_len: u8,
    opcode: u8,
    /// The bytes of the payload that are missing; `None` between frames.
    missing: Option<u64>,
    /// The payload of a frame that is kept.
    kept: Option<Vec<u8>>,
}

impl Scanner {
    /// Takes bytes in any cut. Data frames of exactly `expected` bytes are counted; all others
    /// are handed to `other`.
    pub(crate) fn scan(
        &mut self,
        mut bytes: &[u8],
        expected: u64,
        mut other: impl FnMut(Other),
    ) -> io::Result<u64> {
        let mut count = 0;
        loop {
            if self.missing.is_none() && !self.take_header(&mut bytes, expected)? {
                return Ok(count);
            }
            let Some(missing) = self.missing else {
                return Ok(count);
            };
            let here = missing.min(bytes.len() as u64);
            let (payload, rest) = bytes.split_at(here as usize);
            if let Some(kept) = &mut self.kept {
                kept.extend_from_slice(payload);
            }
            bytes = rest;
            if here < missing {
                self.missing = Some(missing - here);
                return Ok(count);
            }
            self.missing = None;
            match self.kept.take() {
                None => count += 1,
                Some(payload) => other(Other {
                    opcode: self.opcode,
                    payload,
                }),
            }
        }
    }

    /// Whether a header is whole; then `missing` is set.
    fn take_header(&mut self, bytes: &mut &[u8], expected: u64) -> io::Result<bool> {
        loop {
            let have = usize::from(self.header_len);
            let need = match (have, self.header[1] & 127) {
                (0 | 1, _) => 2,
                (_, 126) => 4,
                (_, 127) => 10,
                _ => 2,
            };
            if have == need {
                break;
            }
            let here = (need - have).min(bytes.len());
            if here == 0 {
                return Ok(false);
            }
            self.header[have..have + here].copy_from_slice(&bytes[..here]);
            self.header_len += here as u8;
            *bytes = &bytes[here..];
        }
        let [first, second, ..] = self.header;
        self.header_len = 0;
        let [_, _, a, b, ..] = self.header;
        let length = match second {
            126 => u64::from(u16::from_be_bytes([a, b])),
            127 => self.header[2..]
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            short @ 0..126 => u64::from(short),
            _ => return Err(io::Error::other("expected a frame without a mask")),
        };
        if first & 0xf0 != 0x80 {
            let got = format!("expected a whole frame without extensions; got {first:#04x}");
            return Err(io::Error::other(got));
        }
        self.opcode = first & 15;
        let counts = length == expected && matches!(self.opcode, TEXT | BINARY);
        if !counts && length > MOST {
            let got = format!("expected messages of {expected} bytes; got one of {length}");
            return Err(io::Error::other(got));
        }
        self.kept = (!counts).then(Vec::new);
        self.missing = Some(length);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use realtime_websocket::{Kind, frame};

    use super::*;

    #[test]
    fn expected_messages_are_counted_and_others_kept_however_they_are_cut() {
        for size in [0, 7, 125, 126, 65_535, 65_536] {
            let expected = frame::server_frame(Kind::Text, &vec![b'x'; size]);
            let sent = [
                &expected[..],
                &frame::ping(b"p"),
                &expected,
                &frame::server_frame(Kind::Text, b"other"),
            ]
            .concat();
            for cut in [1, 3, 1000, sent.len()] {
                let (mut scanner, mut count, mut others) = (Scanner::default(), 0, Vec::new());
                for piece in sent.chunks(cut) {
                    count += scanner
                        .scan(piece, size as u64, |other| others.push(other))
                        .unwrap();
                }
                let other = |opcode, payload: &[u8]| Other {
                    opcode,
                    payload: payload.to_vec(),
                };
                assert_eq!(count, 2, "{size} cut at {cut}");
                assert_eq!(others, [other(9, b"p"), other(1, b"other")]);
            }
        }
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        for sent in [&b"\x81\x81"[..], b"\xc1\x01", b"\x01\x01"] {
            assert!(Scanner::default().scan(sent, 1, |_| ()).is_err());
        }
    }
}
