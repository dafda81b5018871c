//! What is offered, and what is made of it: all cases in tables.

use proptest::prelude::*;
use realtime_websocket::deflate::{Agreed, BadAnswer, Policy, Window};

use crate::peers::takeover;

fn window(bits: u8) -> Window {
    Window::new(bits).unwrap()
}

fn answer(policy: Policy, offered: &[&str]) -> Option<String> {
    let answer = policy.answer(offered.iter().map(|value| value.as_bytes()));
    answer.map(|answer| answer.header().to_owned())
}

fn small() -> Policy {
    takeover()
        .with_send_window(window(11))
        .with_receive_window(window(12))
}

#[test]
fn what_a_server_answers() {
    const BOTH: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let rows: [(&[&str], Option<&str>); 45] = [
        // Nothing of ours.
        (&[], None),
        (&[""], None),
        (&["x-webkit-deflate-frame"], None),
        (&["permessage-bzip2; level=9, x"], None),
        (&["Permessage-Deflate"], None),
        (&["permessage-deflate2"], None),
        // What browsers send.
        (&["permessage-deflate"], Some(BOTH)),
        (&["permessage-deflate; client_max_window_bits"], Some(BOTH)),
        // Among others, in one header or several.
        (&["x-webkit-deflate-frame, permessage-deflate"], Some(BOTH)),
        (&["a", "b; c=\"d\"", "permessage-deflate"], Some(BOTH)),
        (&["permessage-deflate,permessage-deflate"], Some(BOTH)),
        (&[",, permessage-deflate ,,"], Some(BOTH)),
        (
            &["\t permessage-deflate\t;\tclient_max_window_bits\t"],
            Some(BOTH),
        ),
        // Each parameter.
        (
            &["permessage-deflate; server_no_context_takeover"],
            Some(BOTH),
        ),
        (
            &["permessage-deflate; client_no_context_takeover"],
            Some(BOTH),
        ),
        (
            &["permessage-deflate; client_max_window_bits=15"],
            Some(BOTH),
        ),
        (
            &["permessage-deflate; client_max_window_bits=\"15\""],
            Some(BOTH),
        ),
        (
            &["permessage-deflate; client_max_window_bits=10"],
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 client_max_window_bits=10",
            ),
        ),
        (
            &["permessage-deflate; client_max_window_bits=8"],
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 client_max_window_bits=8",
            ),
        ),
        (
            &["permessage-deflate; server_max_window_bits=15"],
            Some(
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=15; \
                 client_no_context_takeover",
            ),
        ),
        (
            &["permessage-deflate; server_max_window_bits=\"1\\0\""],
            Some(
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; \
                 client_no_context_takeover",
            ),
        ),
        (
            &[
                "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9; \
               server_no_context_takeover; client_no_context_takeover",
            ],
            Some(
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; \
                 client_no_context_takeover; client_max_window_bits=9",
            ),
        ),
        // What can't be compressed with.
        (&["permessage-deflate; server_max_window_bits=8"], None),
        (
            &["permessage-deflate; server_max_window_bits=8, permessage-deflate"],
            Some(BOTH),
        ),
        // Parameters that are wrong spoil their offer.
        (&["permessage-deflate; server_max_window_bits"], None),
        (&["permessage-deflate; server_max_window_bits=7"], None),
        (&["permessage-deflate; server_max_window_bits=16"], None),
        (&["permessage-deflate; server_max_window_bits=010"], None),
        (&["permessage-deflate; client_max_window_bits=7"], None),
        (&["permessage-deflate; client_max_window_bits=16"], None),
        (&["permessage-deflate; client_max_window_bits=1e1"], None),
        (
            &["permessage-deflate; server_no_context_takeover=true"],
            None,
        ),
        (&["permessage-deflate; client_no_context_takeover=1"], None),
        (&["permessage-deflate; Client_max_window_bits"], None),
        (&["permessage-deflate; unknown"], None),
        (
            &["permessage-deflate; client_max_window_bits; client_max_window_bits"],
            None,
        ),
        (
            &["permessage-deflate; client_max_window_bits; client_max_window_bits=9"],
            None,
        ),
        (
            &["permessage-deflate; server_no_context_takeover; server_no_context_takeover"],
            None,
        ),
        (
            &["permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"],
            None,
        ),
        (
            &["permessage-deflate; unknown=\"1\", permessage-deflate"],
            Some(BOTH),
        ),
        // What is no list of extensions offers nothing.
        (&["permessage-deflate;"], None),
        (&["permessage-deflate, ;;;"], None),
        (&["permessage-deflate", "\"permessage-deflate\""], None),
        // The grammar is that of RFC 2616: there may be space between any two words.
        (
            &["permessage-deflate ; server_max_window_bits\t= 9"],
            Some(
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; \
                 client_no_context_takeover",
            ),
        ),
        (&["permessage-deflate; server_max_window_bits 9"], None),
    ];
    for (offered, expected) in rows {
        assert_eq!(
            answer(Policy::default(), offered).as_deref(),
            expected,
            "{offered:?}"
        );
    }
}

#[test]
fn what_a_server_answers_by_its_policy() {
    let rows = [
        (takeover(), "", ""),
        (takeover(), "; client_max_window_bits", ""),
        (
            takeover(),
            "; server_no_context_takeover",
            "; server_no_context_takeover",
        ),
        (
            takeover(),
            "; client_no_context_takeover",
            "; client_no_context_takeover",
        ),
        (
            takeover(),
            "; client_max_window_bits=14; server_max_window_bits=13",
            "; server_max_window_bits=13; client_max_window_bits=14",
        ),
        // Asked of the client only where it has offered it.
        (small(), "", "; server_max_window_bits=11"),
        (
            small(),
            "; client_max_window_bits",
            "; server_max_window_bits=11; client_max_window_bits=12",
        ),
        (
            small(),
            "; client_max_window_bits=10; server_max_window_bits=15",
            "; server_max_window_bits=11; client_max_window_bits=10",
        ),
        (
            small(),
            "; client_max_window_bits=15; server_max_window_bits=9",
            "; server_max_window_bits=9; client_max_window_bits=12",
        ),
        (
            Policy::default().with_send_takeover(true),
            "",
            "; client_no_context_takeover",
        ),
        (
            Policy::default().with_receive_takeover(true),
            "",
            "; server_no_context_takeover",
        ),
    ];
    for (policy, offered, expected) in rows {
        let offered = format!("permessage-deflate{offered}");
        let expected = format!("permessage-deflate{expected}");
        assert_eq!(
            answer(policy, &[&offered]),
            Some(expected),
            "{policy:?} {offered}"
        );
    }
}

#[test]
fn what_a_client_offers() {
    let rows = [
        (
            Policy::default(),
            "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
        ),
        (takeover(), "; client_max_window_bits"),
        (
            small(),
            "; server_max_window_bits=12; client_max_window_bits=11",
        ),
        (
            Policy::default().with_send_takeover(true),
            "; server_no_context_takeover; client_max_window_bits",
        ),
    ];
    for (policy, expected) in rows {
        assert_eq!(policy.offer(), format!("permessage-deflate{expected}"));
    }
}

#[test]
fn what_a_client_makes_of_the_answer() {
    use BadAnswer::*;
    let none = "; server_no_context_takeover";
    // Both windows, ours first, and whether they outlast a message.
    type Seen = Option<(u8, bool, u8, bool)>;
    let rows: [(Policy, &str, Result<Seen, BadAnswer>); 30] = [
        (takeover(), "", Ok(Some((15, true, 15, true)))),
        (takeover(), none, Ok(Some((15, true, 15, false)))),
        (
            takeover(),
            "; client_no_context_takeover",
            Ok(Some((15, false, 15, true))),
        ),
        (
            takeover(),
            "; client_max_window_bits=9",
            Ok(Some((9, true, 15, true))),
        ),
        (
            takeover(),
            "; client_max_window_bits=8",
            Ok(Some((0, true, 15, true))),
        ),
        (
            takeover(),
            "; server_max_window_bits=9",
            Ok(Some((15, true, 9, true))),
        ),
        (
            takeover(),
            "; server_max_window_bits=8",
            Ok(Some((15, true, 9, true))),
        ),
        (
            takeover(),
            "; server_max_window_bits=\"15\"",
            Ok(Some((15, true, 15, true))),
        ),
        (Policy::default(), none, Ok(Some((15, false, 15, false)))),
        (Policy::default(), "", Err(Takeover)),
        (
            Policy::default(),
            "; client_no_context_takeover",
            Err(Takeover),
        ),
        (
            small(),
            "; server_max_window_bits=12",
            Ok(Some((11, true, 12, true))),
        ),
        (
            small(),
            "; server_max_window_bits=10; client_max_window_bits=10",
            Ok(Some((10, true, 10, true))),
        ),
        (small(), "", Err(Window)),
        (small(), "; server_max_window_bits=13", Err(Window)),
        (
            small(),
            "; server_max_window_bits=12; client_max_window_bits=12",
            Err(Window),
        ),
        (takeover(), "; client_max_window_bits", Err(BadParameter)),
        (takeover(), "; client_max_window_bits=16", Err(BadParameter)),
        (takeover(), "; server_max_window_bits", Err(BadParameter)),
        (takeover(), "; server_max_window_bits=7", Err(BadParameter)),
        (takeover(), "; unknown", Err(BadParameter)),
        (
            takeover(),
            "; server_no_context_takeover=1",
            Err(BadParameter),
        ),
        (
            takeover(),
            "; server_no_context_takeover; server_no_context_takeover",
            Err(BadParameter),
        ),
        (takeover(), ", permessage-deflate", Err(Twice)),
        (takeover(), ", permessage-bzip2", Err(NotOffered)),
        (takeover(), "2", Err(NotOffered)),
        (takeover(), ";", Err(Malformed)),
        (takeover(), "; a=\"", Err(Malformed)),
        (takeover(), " x", Err(Malformed)),
        (takeover(), ", ;", Err(Malformed)),
    ];
    for (policy, answered, expected) in rows {
        let answered = format!("permessage-deflate{answered}");
        let accepted = policy.accept([answered.as_bytes()]);
        let seen = accepted.map(|agreed| {
            agreed.map(|Agreed { send, receive, .. }| {
                let bits = send.map_or(0, |send| send.window.bits());
                let keeps = send.is_none_or(|send| send.takeover);
                (bits, keeps, receive.window.bits(), receive.takeover)
            })
        });
        assert_eq!(seen, expected, "{policy:?} {answered}");
    }
    assert_eq!(takeover().accept([]), Ok(None));
    assert_eq!(takeover().accept([&b""[..], b" , "]), Ok(None));
    let twice = [&b"permessage-deflate"[..], b"permessage-deflate"];
    assert_eq!(takeover().accept(twice), Err(Twice));
}

#[test]
fn a_thousand_offers_are_no_trouble() {
    let many = "permessage-deflate; unknown, ".repeat(1_000);
    assert_eq!(answer(Policy::default(), &[&many]), None);
    assert!(answer(Policy::default(), &[&many, "permessage-deflate"]).is_some());
}

fn policy() -> impl Strategy<Value = Policy> {
    let bits = || (9..=15u8).prop_map(window);
    (any::<bool>(), bits(), any::<bool>(), bits()).prop_map(|(send, ours, receive, theirs)| {
        Policy::default()
            .with_send_takeover(send)
            .with_send_window(ours)
            .with_receive_takeover(receive)
            .with_receive_window(theirs)
    })
}

proptest! {
    #[test]
    fn both_sides_see_the_same_and_neither_gets_more_than_it_wants(
        server in policy(), client in policy(),
    ) {
        let answer = server.answer([client.offer().as_bytes()]).unwrap();
        let theirs = client.accept([answer.header().as_bytes()]).unwrap().unwrap();
        let ours = answer.agreed();
        prop_assert_eq!(ours.send, Some(theirs.receive));
        prop_assert_eq!(theirs.send, Some(ours.receive));
        for (one, other, flow) in [(server, client, theirs.receive), (client, server, ours.receive)] {
            prop_assert_eq!(flow.takeover, one.send_takeover && other.receive_takeover);
            prop_assert_eq!(flow.window, one.send_window.min(other.receive_window));
        }
    }

    #[test]
    fn no_header_is_too_strange(value: Vec<u8>, text in "[a-z_=;, \"\\\\0-9-]{0,60}") {
        for value in [&value[..], text.as_bytes(), &[b"permessage-deflate;", text.as_bytes()].concat()] {
            let _either = Policy::default().answer([value]);
            let _either = Policy::default().accept([value]);
        }
    }
}
