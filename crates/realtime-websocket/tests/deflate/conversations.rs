//! How the network cuts a conversation changes nothing, and what isn't compressed is read as ever.

use proptest::{prelude::*, sample::Index};
use realtime_websocket::{
    Decoder, Event, Limits, Role, Violation,
    deflate::{InflatingDecoder, Policy},
};

use crate::peers::{BINARY, Miniz, TEXT, agree, decode, f, takeover};

/// A frame, or several, as a client might send them.
fn sent() -> impl Strategy<Value = Vec<u8>> {
    let text = "[ -~äß€😀]{0,300}".prop_map(String::into_bytes);
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    let long = (any::<u8>(), 0..30_000usize).prop_map(|(byte, size)| vec![byte; size]);
    let noise = (0..12_000usize).prop_map(crate::peers::noise);
    let data = prop_oneof![4 => text, 2 => bytes, 1 => long, 1 => noise];
    let compressed = (
        data,
        any::<bool>(),
        prop::collection::vec(any::<Index>(), 0..3),
    )
        .prop_map(|(data, is_text, cuts)| {
            let data = Miniz::new(6).message(&data);
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
            at.extend([0, data.len()]);
            at.sort_unstable();
            let mut opcode = if is_text { TEXT } else { BINARY };
            let mut frames = Vec::new();
            for (i, pair) in at.windows(2).enumerate() {
                let fin = i + 2 == at.len();
                frames.extend(f(opcode, fin, &data[pair[0]..pair[1]]));
                opcode = 0;
            }
            frames
        });
    let any_frame = (
        any::<u8>(),
        any::<bool>(),
        prop::collection::vec(any::<u8>(), 0..130),
    )
        .prop_map(|(bits, fin, payload)| f(bits & 0x7f, fin, &payload));
    let plain = "[a-z]{0,200}".prop_map(|text| f(1, true, text.as_bytes()));
    let ping = Just(f(9, true, b"ping"));
    prop_oneof![6 => compressed, 2 => plain, 1 => ping, 1 => any_frame]
}

fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let spoil = prop::option::weighted(0.4, (any::<Index>(), any::<u8>()));
    (prop::collection::vec(sent(), 0..5), spoil).prop_map(|(sent, spoil)| {
        let mut bytes = sent.concat();
        if let Some((at, value)) = spoil
            && !bytes.is_empty()
        {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes
    })
}

fn cut<'b>(bytes: &'b [u8], cuts: &[Index]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|i| i.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_cut_gives_the_same_events(
        bytes in conversation(),
        cuts in prop::collection::vec(any::<Index>(), 0..20),
        message in prop_oneof![3 => Just(1 << 20), 1 => 0..9_000usize],
        keeps: bool,
    ) {
        let policy = if keeps { takeover() } else { Policy::default() };
        let agreed = Some(agree(policy, policy).0);
        let limits = Limits::default().with_message(message);
        let decoder = || InflatingDecoder::new(Role::Server, limits, agreed);
        let whole = decode(&mut decoder(), [&bytes[..]]);
        prop_assert_eq!(&decode(&mut decoder(), cut(&bytes, &cuts)), &whole);
        if bytes.len() < 2_000 {
            prop_assert_eq!(&decode(&mut decoder(), bytes.chunks(1)), &whole);
        }
        // Without a borrowed inflater.
        let (mut alone, mut events, mut input) = (decoder(), Vec::new(), &bytes[..]);
        let ended = loop {
            match alone.decode(&mut input) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break None,
                Err(violation) => break Some(violation),
            }
        };
        prop_assert_eq!((events, ended), whole);
    }

    #[test]
    fn what_is_not_compressed_is_read_as_ever(
        bytes in conversation(), agreed: bool, cuts in prop::collection::vec(any::<Index>(), 0..5),
    ) {
        let answer = agreed.then(|| agree(Policy::default(), Policy::default()).0);
        let mut ours = InflatingDecoder::new(Role::Server, Limits::default(), answer);
        let (mut plain, mut events, mut input) =
            (Decoder::new(Role::Server, Limits::default()), Vec::new(), &bytes[..]);
        let ended = loop {
            match plain.decode(&mut input) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break None,
                Err(violation) => break Some(violation),
            }
        };
        let heard = decode(&mut ours, cut(&bytes, &cuts));
        if agreed && ended == Some(Violation::ReservedBit) {
            prop_assert_eq!(&heard.0[..events.len()], &events[..]);
        } else {
            prop_assert_eq!(heard, (events, ended));
        }
    }
}

#[test]
fn a_conversation_of_all_kinds() {
    let text = "so much ado ".repeat(1_000);
    let data = Miniz::new(6).message(text.as_bytes());
    let sent = [
        f(1, true, b"plain"),
        f(TEXT, true, &data),
        f(9, true, b"?"),
        f(TEXT, false, &data[..10]),
        f(10, true, b"!"),
        f(0, true, &data[10..]),
        f(2, true, b"plain"),
        f(8, true, &[]),
        f(TEXT, true, &data),
    ]
    .concat();
    let (agreed, _) = agree(Policy::default(), Policy::default());
    let mut server = InflatingDecoder::new(Role::Server, Limits::default(), Some(agreed));
    let events = vec![
        Event::Text("plain".into()),
        Event::Text(text.clone()),
        Event::Ping("?".into()),
        Event::Pong("!".into()),
        Event::Text(text),
        Event::Binary("plain".into()),
        Event::Close(None),
    ];
    assert_eq!(decode(&mut server, [&sent[..]]), (events, None));
    assert!(server.is_done());
}
