//! The checker: what was sent against what arrived and what was reported.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) const NODES: usize = 3;

/// What one node has sent, by the number of each message.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Whom each message was for: one session, or all.
    pub(crate) to: BTreeMap<u64, Option<usize>>,
    /// Those whose sender was told that not everybody may get it.
    pub(crate) failed: BTreeSet<u64>,
}

/// What a session got: the numbers of each node's messages, in the order of their arrival.
pub(crate) type Got = [Vec<u64>; NODES];

/// The node of a session.
pub(crate) fn home(session: usize) -> usize {
    session % NODES
}

/// Checks what a session that was there all the time got. Returns which messages of each node are
/// missing though their sender was told of no failure.
fn check(
    session: usize,
    sent: &[Sent; NODES],
    got: &Got,
) -> Result<[BTreeSet<u64>; NODES], String> {
    let mut missing = <[BTreeSet<u64>; NODES]>::default();
    for (node, (sent, got)) in sent.iter().zip(got).enumerate() {
        if let Some(pair) = got.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!(
                "session {session}: after {} of node {node} came {}",
                pair[0], pair[1]
            ));
        }
        let for_it = |to: &Option<usize>| to.is_none_or(|to| to == session);
        let got: BTreeSet<_> = got.iter().copied().collect();
        let expected = sent.to.iter().filter(|(_, to)| for_it(to)).map(|(n, _)| *n);
        let expected: BTreeSet<u64> = expected.collect();
        if let Some(stray) = got.difference(&expected).next() {
            return Err(format!(
                "session {session}: {stray} of node {node} is not for it"
            ));
        }
        missing[node] = &(&expected - &got) - &sent.failed;
    }
    Ok(missing)
}

/// Checks the books of a node: those of all its sessions, and what it has reported as lost of the
/// messages of each node. What it has lost is reported, message by message; and what is reported
/// is lost, or its sender knows: that it failed, or that it came back and was sent again. Returns how
/// many messages are missing.
pub(crate) fn audit(
    node: usize,
    sent: &[Sent; NODES],
    got: &[Got],
    reported: [u64; NODES],
    came_back: [u64; NODES],
) -> Result<u64, String> {
    let mut missing = <[BTreeSet<u64>; NODES]>::default();
    for (session, got) in got.iter().enumerate().filter(|(n, _)| home(*n) == node) {
        for (all, one) in missing.iter_mut().zip(check(session, sent, got)?) {
            all.extend(one);
        }
    }
    let mut all = 0;
    for source in 0..NODES {
        let Sent { to, failed } = &sent[source];
        let for_node = |n: &&u64| {
            to.get(n)
                .is_some_and(|to| to.is_none_or(|to| home(to) == node))
        };
        let failed = failed.iter().filter(for_node).count() as u64;
        let (missing, reported) = (missing[source].len() as u64, reported[source]);
        let came_back = came_back[source];
        if !(missing..=missing + failed + came_back).contains(&reported) {
            return Err(format!(
                "node {node}: of node {source}, {missing} are missing, {reported} reported, \
                 {failed} failed, and {came_back} came back"
            ));
        }
        all += missing;
    }
    Ok(all)
}

/// The first message of node 0 is for all, those of node 1 for sessions 0, 3 and 0.
fn small_books() -> [Sent; NODES] {
    let mut sent = <[Sent; NODES]>::default();
    sent[0].to = (1..=4).map(|n| (n, None)).collect();
    sent[1].to = [(1, Some(0)), (2, Some(3)), (3, Some(0))].into();
    sent
}

fn audit_of(sent: &[Sent; NODES], first: [&[u64]; 2], reported: [u64; NODES]) -> Result<u64, ()> {
    let got = |[a, b]: [&[u64]; 2]| -> Got { [a.into(), b.into(), vec![]] };
    let fine = || got([&[1, 2, 3, 4], &[]]);
    let fourth = got([&[1, 2, 3, 4], &[2]]);
    let got = [got(first), fine(), fine(), fourth];
    for node in 1..NODES {
        let fine = audit(node, sent, &got, [0; NODES], [0; NODES]);
        assert_eq!(fine, Ok(0), "not concerned");
    }
    audit(0, sent, &got, reported, [0; NODES]).map_err(drop)
}

pub(crate) async fn the_checker_finds_what_is_wrong() {
    let sent = small_books();
    let audit = |first, reported| audit_of(&sent, first, reported);
    assert_eq!(audit([&[1, 2, 3, 4], &[1, 3]], [0, 0, 0]), Ok(0));
    assert_eq!(audit([&[1, 2, 4], &[1, 3]], [0, 0, 0]), Err(()), "dropped");
    assert_eq!(audit([&[1, 2, 4], &[1, 3]], [1, 0, 0]), Ok(1), "reported");
    let of_another = audit([&[1, 2, 4], &[1, 3]], [0, 1, 0]);
    assert_eq!(of_another, Err(()), "another node's was reported");
    let too_much = audit([&[1, 2, 3, 4], &[1, 3]], [1, 0, 0]);
    assert_eq!(too_much, Err(()), "reported, but not lost");
    let two_of_two = audit([&[1, 2, 4], &[1]], [1, 1, 0]);
    assert_eq!(two_of_two, Ok(2));
    let doubled = audit([&[1, 2, 2, 3, 4], &[1, 3]], [0, 0, 0]);
    assert_eq!(doubled, Err(()), "doubled");
    let turned = audit([&[1, 3, 2, 4], &[1, 3]], [0, 0, 0]);
    assert_eq!(turned, Err(()), "out of order");
    let stray = audit([&[1, 2, 3, 4], &[1, 2, 3]], [0, 0, 0]);
    assert_eq!(stray, Err(()), "not for it");

    let mut sent = small_books();
    sent[1].failed.insert(3);
    for reported in [[0, 0, 0], [0, 1, 0]] {
        let told = audit_of(&sent, [&[1, 2, 3, 4], &[1]], reported);
        assert_eq!(told, Ok(0), "the sender knows");
    }
}
