//! The queue against a naive model.

use std::io::IoSlice;

use proptest::prelude::*;

use super::*;

fn limits(messages: usize, bytes: usize, policy: Backpressure) -> QueueLimits {
    QueueLimits {
        messages,
        bytes,
        policy,
    }
}

fn written(queue: &mut Queue, upto: usize) -> Vec<u8> {
    let mut out = [IoSlice::new(&[]); WRITE_FRAMES];
    let count = queue.slices(&mut out);
    let mut bytes: Vec<u8> = out[..count]
        .iter()
        .flat_map(|s| s.iter().copied())
        .collect();
    bytes.truncate(upto);
    queue.advance(bytes.len());
    bytes
}

fn drained(queue: &mut Queue) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let some = written(queue, usize::MAX);
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

#[test]
fn controls_overtake_data_but_never_cut_a_frame_in_two() {
    let mut queue = Queue::new();
    let limits = limits(8, 1024, Backpressure::Close);
    queue.push(Bytes::from_static(b"data"), limits);
    queue.push_reply(Bytes::from_static(b"reply"));
    assert_eq!(written(&mut queue, 2), b"da");
    queue.set_close(Bytes::from_static(b"close"));
    queue.set_ping(Bytes::from_static(b"ping"));
    queue.set_pong(Bytes::from_static(b"old pong"));
    queue.set_pong(Bytes::from_static(b"pong"));
    assert_eq!(written(&mut queue, 4), b"tapo");
    assert_eq!(drained(&mut queue), b"ngpingreplyclose");
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn discarding_keeps_what_the_socket_took_in_part() {
    let mut queue = Queue::new();
    let limits = limits(8, 1024, Backpressure::Close);
    queue.push(Bytes::from_static(b"first"), limits);
    queue.push(Bytes::from_static(b"second"), limits);
    assert_eq!(written(&mut queue, 1), b"f");
    assert_eq!(queue.discard().dropped, Dropped::new(1, 6));
    queue.set_close(Bytes::from_static(b"!"));
    assert_eq!(drained(&mut queue), b"irst!");
}

#[test]
fn a_frame_larger_than_the_limit_is_taken_by_an_empty_queue_only() {
    let limits = limits(8, 4, Backpressure::Close);
    let mut queue = Queue::new();
    queue.push_reply(Bytes::from_static(b"replies don't count"));
    let large = Bytes::from_static(b"larger than four");
    assert_eq!(
        queue.push(large.clone(), limits),
        Push::Queued { dropped: 0 }
    );
    assert_eq!(queue.push(large, limits), Push::Full);
}

#[test]
fn a_frame_that_is_partly_written_stays_in_the_accounts() {
    let limits = limits(8, 10, Backpressure::Close);
    let mut queue = Queue::new();
    let push = |queue: &mut Queue, bytes: usize| queue.push(vec![7; bytes].into(), limits);
    assert_eq!(push(&mut queue, 30), Push::Queued { dropped: 0 });
    written(&mut queue, 2);
    assert_eq!((queue.bytes(), push(&mut queue, 30)), (28, Push::Full));
    assert_eq!(push(&mut queue, 1), Push::Full);
    written(&mut queue, 20);
    assert_eq!((queue.bytes(), push(&mut queue, 3)), (8, Push::Full));
    assert_eq!(push(&mut queue, 2), Push::Queued { dropped: 0 });
    assert_eq!(drained(&mut queue).len(), 10);

    queue.push_reply(vec![7; 30].into());
    written(&mut queue, 2);
    assert_eq!((queue.bytes(), queue.reply_memory()), (28, 28));
    // It is no concern of the policy's.
    assert_eq!(push(&mut queue, 30), Push::Queued { dropped: 0 });
    written(&mut queue, 28);
    assert_eq!((queue.bytes(), queue.reply_memory()), (30, 0));
    assert_eq!(queue.memory(), 30 + FRAME);
    assert_eq!((queue.discard().dropped.messages, queue.bytes()), (1, 0));
    // A straight write that the socket has cut.
    queue.set_partial(vec![7; 11].into());
    assert_eq!(push(&mut queue, 1), Push::Full);
}

#[test]
fn the_newest_is_dropped_where_what_was_begun_leaves_no_room_for_it() {
    let limits = limits(8, 10, Backpressure::DropOldest);
    let mut queue = Queue::new();
    let push = |queue: &mut Queue, bytes: usize| queue.push(vec![7; bytes].into(), limits);
    push(&mut queue, 8);
    written(&mut queue, 2);
    assert_eq!(push(&mut queue, 3), Push::Queued { dropped: 0 });
    assert_eq!(push(&mut queue, 4), Push::Queued { dropped: 1 });
    assert_eq!((push(&mut queue, 5), queue.bytes()), (Push::Dropped, 10));
    assert_eq!(queue.notice_due(), Some(2));
}

#[test]
fn a_gap_is_reported_once_and_before_the_data_that_is_left() {
    let limits = limits(2, 1024, Backpressure::DropOldest);
    let mut queue = Queue::new();
    for frame in [b"1", b"2", b"3", b"4"] {
        queue.push(Bytes::from_static(frame), limits);
    }
    assert_eq!(queue.notice_due(), Some(2));
    queue.set_notice(Bytes::from_static(b"missed 2;"), 2);
    assert_eq!(queue.notice_due(), None);
    assert_eq!(drained(&mut queue), b"missed 2;34");
}

#[test]
fn a_gap_that_grows_while_its_notice_waits_is_reported_in_one() {
    let limits = limits(2, 1024, Backpressure::DropOldest);
    let mut queue = Queue::new();
    let push = |queue: &mut Queue, frame: &'static str| {
        queue.push(Bytes::from_static(frame.as_bytes()), limits);
    };
    for frame in ["1", "2", "3"] {
        push(&mut queue, frame);
    }
    queue.set_notice(Bytes::from_static(b"missed 1;"), 1);
    push(&mut queue, "4");
    assert_eq!(queue.notice_due(), Some(2));
    queue.set_notice(Bytes::from_static(b"missed 2;"), 2);
    assert_eq!(queue.notice_due(), None);
    // From its first byte on, a notice stays as it is.
    assert_eq!(written(&mut queue, 3), b"mis");
    push(&mut queue, "5");
    assert_eq!(queue.notice_due(), Some(1));
    queue.set_notice(Bytes::from_static(b"missed 1;"), 1);
    assert_eq!(drained(&mut queue), b"sed 2;missed 1;45");
}

#[derive(Debug, Clone)]
enum Op {
    Push(usize),
    Reply(usize),
    Write(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (1..40usize).prop_map(Op::Push),
        (1..40usize).prop_map(Op::Reply),
        (1..60usize).prop_map(Op::Write),
    ]
}

proptest! {
    /// The queue against a naive model: a list of whole frames of which the first may have
    /// been begun.
    #[test]
    fn it_behaves_like_a_list(
        ops in prop::collection::vec(op(), 1..200),
        messages in 1..6usize,
        bytes in 1..120usize,
        policy in prop_oneof![
            Just(Backpressure::Close),
            Just(Backpressure::DropNewest),
            Just(Backpressure::DropOldest),
        ],
    ) {
        let limits = limits(messages, bytes, policy);
        let mut queue = Queue::new();
        let (mut sent, mut expected, mut next) = (Vec::new(), Vec::new(), 0u8);
        // (frame, under policy)
        let mut model: VecDeque<(Vec<u8>, bool)> = VecDeque::new();
        let mut begun: (Vec<u8>, bool) = Default::default();
        let (mut lost, mut reported) = (0u64, 0u64);
        for op in ops {
            next = next.wrapping_add(1);
            match op {
                Op::Push(len) => {
                    let frame = vec![next; len];
                    let left = if begun.1 { begun.0.len() } else { 0 };
                    let fits = |model: &VecDeque<(Vec<u8>, bool)>| {
                        let held: Vec<_> = model.iter().filter(|f| f.1).collect();
                        let sum = left + held.iter().map(|f| f.0.len()).sum::<usize>();
                        sum == 0 || (held.len() < messages && sum + len <= bytes)
                    };
                    let want = if fits(&model) {
                        Push::Queued { dropped: 0 }
                    } else {
                        match policy {
                            Backpressure::Close => Push::Full,
                            Backpressure::DropNewest => { lost += 1; Push::Dropped }
                            Backpressure::DropOldest if left > 0 && left + len > bytes => {
                                lost += 1;
                                Push::Dropped
                            }
                            Backpressure::DropOldest => {
                                let mut dropped = 0;
                                while !fits(&model) {
                                    let at = model.iter().position(|f| f.1).unwrap();
                                    model.remove(at);
                                    dropped += 1;
                                }
                                lost += dropped;
                                Push::Queued { dropped }
                            }
                        }
                    };
                    prop_assert_eq!(queue.push(frame.clone().into(), limits), want);
                    if matches!(want, Push::Queued { .. }) {
                        model.push_back((frame, true));
                    }
                }
                Op::Reply(len) => {
                    queue.push_reply(vec![next; len].into());
                    model.push_back((vec![next; len], false));
                }
                Op::Write(upto) => {
                    let got = written(&mut queue, upto);
                    let mut want = Vec::new();
                    while want.len() < got.len() {
                        if begun.0.is_empty() {
                            begun = model.pop_front().unwrap();
                        }
                        let take = begun.0.len().min(got.len() - want.len());
                        want.extend(begun.0.drain(..take));
                    }
                    sent.extend(got);
                    expected.extend(want);
                }
            }
            if let Some(missed) = queue.notice_due() {
                queue.set_notice(Bytes::new(), missed);
                reported += missed;
            }
            let unwritten: usize = model.iter().map(|f| f.0.len()).sum();
            prop_assert_eq!(queue.bytes(), begun.0.len() + unwritten);
            prop_assert_eq!(queue.memory(), queue.bytes() + model.len() * FRAME);
            let waiting = model.iter().filter(|f| !f.1);
            let waiting: usize = waiting.map(|f| f.0.len() + FRAME).sum();
            let left = if begun.1 { 0 } else { begun.0.len() };
            prop_assert_eq!(queue.reply_memory(), waiting + left);
        }
        sent.extend(drained(&mut queue));
        expected.extend(begun.0);
        expected.extend(model.into_iter().flat_map(|f| f.0));
        prop_assert_eq!(sent, expected);
        prop_assert_eq!(lost, reported);
        prop_assert_eq!(queue.bytes(), 0);
    }
}
