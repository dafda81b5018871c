//! Bytes from the network, in any pieces: the pieces never change the events, nothing is kept that
//! wasn't announced and allowed, and after a violation or a close nothing more comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use realtime_websocket::{Decoder, Event, Limits, Role, Violation};

const MESSAGE: usize = 4_096;

fn decoder(client: bool) -> Decoder {
    let role = if client { Role::Client } else { Role::Server };
    Decoder::new(
        role,
        Limits::default().with_message(MESSAGE).with_fragments(64),
    )
}

fn events(decoder: &mut Decoder, mut input: &[u8]) -> Result<Vec<Event>, (Vec<Event>, Violation)> {
    let mut all = Vec::new();
    loop {
        match decoder.decode(&mut input) {
            Ok(Some(event)) => all.push(event),
            Ok(None) => return Ok(all),
            Err(violation) => return Err((all, violation)),
        }
        assert!(decoder.buffered() <= 2 * MESSAGE, "{}", decoder.buffered());
    }
}

fuzz_target!(|input: (bool, Vec<u8>, Vec<u8>)| {
    let (client, cuts, bytes) = input;
    let whole = events(&mut decoder(client), &bytes);

    let (mut pieces, mut rest) = (decoder(client), &bytes[..]);
    let (mut seen, mut violation) = (Vec::new(), None);
    let mut cuts = cuts
        .iter()
        .map(|cut| usize::from(*cut))
        .chain(std::iter::repeat(1));
    while !rest.is_empty() && violation.is_none() {
        let cut = cuts.next().unwrap_or(1).clamp(1, rest.len());
        match events(&mut pieces, &rest[..cut]) {
            Ok(more) => seen.extend(more),
            Err((more, why)) => {
                seen.extend(more);
                violation = Some(why);
            }
        }
        rest = &rest[cut..];
    }
    match (whole, violation) {
        (Ok(all), None) => assert_eq!(all, seen),
        (Err((all, why)), Some(violation)) => {
            assert_eq!(all, seen);
            assert_eq!(why.close_code(), violation.close_code());
        }
        (whole, pieces) => panic!("whole: {whole:?}; in pieces: {seen:?}, {pieces:?}"),
    }
    let closed = seen
        .iter()
        .position(|event| matches!(event, Event::Close(_)));
    assert!(
        closed.is_none_or(|at| at + 1 == seen.len()),
        "something follows a close"
    );
});
