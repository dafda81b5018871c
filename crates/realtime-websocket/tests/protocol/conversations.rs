//! Whole conversations: what was said is heard, and how the network cuts it changes nothing.

use proptest::{prelude::*, sample::Index};
use realtime_websocket::{Decoder, Event, Limits};

use crate::stream;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_written_is_read(
        (role, (frames, events)) in stream::role().prop_flat_map(|role| {
            (Just(role), stream::conversation(role))
        }),
    ) {
        let bytes = frames.concat();
        let heard = stream::decode(role, Limits::default(), [&bytes[..]]);
        prop_assert_eq!(heard, (events, None));
    }

    #[test]
    fn any_cut_gives_the_same_events(
        (role, bytes) in stream::role().prop_flat_map(|role| {
            (Just(role), stream::maybe_spoilt(role))
        }),
        cuts in prop::collection::vec(any::<Index>(), 0..20),
        message in prop_oneof![Just(1 << 20), 0..400usize],
        fragments in prop_oneof![Just(4096), 0..5usize],
    ) {
        let limits = Limits::default().with_message(message).with_fragments(fragments);
        let whole = stream::decode(role, limits, [&bytes[..]]);
        let pieces = stream::cut(&bytes, &cuts);
        prop_assert_eq!(&stream::decode(role, limits, pieces), &whole);
        if bytes.len() < 1000 {
            prop_assert_eq!(stream::decode(role, limits, bytes.chunks(1)), whole);
        }
    }

    /// Twice what came, and the least that is worth allocating for a message and a control frame.
    #[test]
    fn memory_follows_what_came_and_stays_under_the_limit(
        (role, bytes) in stream::role().prop_flat_map(|role| {
            (Just(role), stream::maybe_spoilt(role))
        }),
        limit in 0..400usize,
        step in 1..50usize,
    ) {
        let mut decoder = Decoder::new(role, Limits::default().with_message(limit));
        let mut came = 0;
        for mut piece in bytes.chunks(step) {
            came += piece.len();
            while let Ok(Some(event)) = decoder.decode(&mut piece) {
                let length = match event {
                    Event::Text(text) => text.len(),
                    Event::Binary(data) => data.len(),
                    _ => 0,
                };
                prop_assert!(length <= limit);
            }
            let held = decoder.buffered();
            prop_assert!(held <= limit + 125 && held <= 2 * came + 128, "{held} after {came}");
            if !decoder.is_assembling() {
                prop_assert_eq!(held, 0);
            }
        }
    }
}
