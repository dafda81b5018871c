//! What a server of Redis says, in any pieces: whatever it is, it is read the same as in one piece,
//! nothing is kept beyond the bound, and what was written as an answer is read as it was.
#![no_main]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the source of a crate that shows nothing of it")]
#[path = "../../realtime-broker-redis/src/resp.rs"]
mod resp;

use bytes::BytesMut;
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use resp::{BEGINNING, Frame, Frames};
use tokio_util::codec::Decoder;

/// The largest item that is read.
const LIMIT: usize = 64;

#[derive(Arbitrary, Debug)]
struct Input {
    /// In which pieces it comes, by turns.
    pieces: Vec<u8>,
    says: Says,
}

#[derive(Arbitrary, Debug)]
enum Says {
    Anything(Vec<u8>),
    Answers(Vec<Answer>),
}

#[derive(Arbitrary, Debug)]
enum Answer {
    Message(Vec<u8>, Vec<u8>),
    Nested(Vec<Answer>),
    Nothing,
    Number(i64),
    Refusal(String),
    Text(String),
}

fn line(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect()
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Writes an answer, and says how it is to be read. What may be too large stands last.
fn write(out: &mut Vec<u8>, answer: &Answer, depth: usize) -> Frame {
    match answer {
        Answer::Message(name, data) => {
            let name = &name[..name.len().min(LIMIT)];
            // Within another array it is not the last.
            let data = if depth > 0 { &data[..data.len().min(LIMIT)] } else { data };
            out.extend_from_slice(b"*2\r\n");
            bulk(out, name);
            bulk(out, data);
            let data = match data.len() > LIMIT {
                true => Frame::TooLarge {
                    size: data.len() as u64,
                    beginning: data[..data.len().min(BEGINNING)].to_vec().into(),
                },
                false => Frame::Bulk(data.to_vec().into()),
            };
            Frame::Array(vec![Frame::Bulk(name.to_vec().into()), data])
        }
        Answer::Nested(answers) if depth < 4 => {
            out.extend_from_slice(format!("*{}\r\n", answers.len()).as_bytes());
            let read = answers.iter().map(|answer| write(out, answer, depth + 1));
            Frame::Array(read.collect())
        }
        Answer::Nothing | Answer::Nested(_) => {
            out.extend_from_slice(b"$-1\r\n");
            Frame::Null
        }
        Answer::Number(number) => {
            out.extend_from_slice(format!(":{number}\r\n").as_bytes());
            Frame::Number(*number)
        }
        Answer::Refusal(text) => {
            out.extend_from_slice(format!("-{}\r\n", line(text)).as_bytes());
            Frame::Error(line(text))
        }
        Answer::Text(text) => {
            out.extend_from_slice(format!("+{}\r\n", line(text)).as_bytes());
            Frame::Simple(line(text))
        }
    }
}

/// What is read of bytes that come in these pieces, and whether it ended with an error.
fn read(bytes: &[u8], pieces: &[u8]) -> (Vec<Frame>, bool) {
    let (mut frames, mut buffer, mut read) =
        (Frames::of_at_most(LIMIT), BytesMut::new(), Vec::new());
    let (mut rest, mut turn) = (bytes, 0);
    while !rest.is_empty() {
        let piece = pieces.get(turn % pieces.len().max(1)).copied();
        let piece = piece.map_or(rest.len(), |piece| usize::from(piece).clamp(1, rest.len()));
        turn += 1;
        let (now, later) = rest.split_at(piece);
        rest = later;
        buffer.extend_from_slice(now);
        loop {
            match frames.decode(&mut buffer) {
                Ok(Some(frame)) => read.push(frame),
                Ok(None) => break,
                Err(_) => return (read, true),
            }
        }
        // A line may be 64 KiB long.
        assert!(buffer.capacity() <= 1 << 20, "{}", buffer.capacity());
    }
    (read, false)
}

fuzz_target!(|input: Input| {
    let bytes = match &input.says {
        Says::Anything(bytes) => bytes.clone(),
        Says::Answers(answers) => {
            let mut bytes = Vec::new();
            let said: Vec<_> = answers.iter().map(|a| write(&mut bytes, a, 0)).collect();
            assert_eq!(read(&bytes, &input.pieces), (said, false));
            bytes
        }
    };
    assert_eq!(read(&bytes, &input.pieces), read(&bytes, &[]));
});
