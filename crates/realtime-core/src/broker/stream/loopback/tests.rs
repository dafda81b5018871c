//! What is taken for missing, and what isn't.

use std::time::{Duration, Instant};

use super::{Loopback, LoopbackTime, Loss, Way, Way::*};

const WAYS: [Way; 2] = [Way::ForAll, Way::OwnTopic];

/// Whether so many, each after some deliveries or none, find the link down.
fn down_after(loopback: &Loopback, count: usize, before: impl Fn(&Loopback)) -> bool {
    (0..count).any(|_| {
        before(loopback);
        let down = loopback.is_broken(Way::ForAll);
        loopback.sent(Way::ForAll);
        down
    })
}

fn returned(loopback: &Loopback) {
    loopback.returned(Way::ForAll);
}

#[test]
fn it_is_measured_where_it_is_known_which_one_came_back() {
    let (loopback, time) = (Loopback::default(), LoopbackTime::default());
    loopback.measure(&time);
    loopback.begin();
    assert_eq!(time.last(), None);
    let sent = || {
        let before = Instant::now();
        loopback.sent(ForAll);
        before
    };
    let first = sent();
    std::thread::sleep(Duration::from_millis(5));
    loopback.returned(ForAll);
    let took = time.last().unwrap();
    assert!(
        (Duration::from_millis(5)..=first.elapsed()).contains(&took),
        "{took:?}"
    );
    sent();
    sent();
    loopback.returned(ForAll);
    assert_eq!(time.last(), Some(took), "it may be either of the two");
    loopback.begin();
    assert_eq!(time.last(), None, "of another link nothing is known");
}

#[test]
fn two_missing_mean_down() {
    let loopback = Loopback::default();
    assert!(!down_after(&loopback, 100, returned));
    returned(&loopback);
    assert!(!down_after(&loopback, 2, |_| {}));
    assert!(loopback.is_broken(Way::ForAll));
    returned(&loopback);
    assert!(!loopback.is_broken(Way::ForAll));
}

#[test]
fn they_are_not_missing_while_it_is_we_who_do_not_read() {
    let loopback = Loopback::default();
    loopback.stall();
    assert!(!down_after(&loopback, 100, |_| {}));
    loopback.go_on();
    assert!(!down_after(&loopback, 100, |loopback| {
        loopback.stall();
        loopback.go_on();
    }));
    assert!(down_after(&loopback, 3, |_| {}));
}

#[test]
fn one_reader_that_goes_on_says_nothing_of_another_and_neither_does_a_new_link() {
    let loopback = Loopback::default();
    loopback.stall();
    loopback.begin();
    loopback.stall();
    loopback.go_on();
    assert!(!down_after(&loopback, 100, |_| {}));
    loopback.go_on();
    assert!(!loopback.is_broken(Way::ForAll));
    assert!(down_after(&loopback, 3, |_| {}));
}

#[test]
fn a_backlog_is_no_reason_to_give_a_link_up() {
    let loopback = Loopback::default();
    assert!(!down_after(&loopback, 10, Loopback::delivered));
    returned(&loopback);
    assert!(!down_after(&loopback, 10, Loopback::delivered));
    assert!(down_after(&loopback, 3, |_| {}), "nothing comes any more");
}

#[test]
fn what_others_say_does_not_hide_for_ever_that_nothing_of_this_node_comes() {
    assert!(down_after(&Loopback::default(), 13, Loopback::delivered));
}

#[test]
fn what_comes_back_in_one_way_shows_what_is_lost_in_the_other() {
    for [lost, goes] in [WAYS, [Way::OwnTopic, Way::ForAll]] {
        let loopback = Loopback::default();
        let mut looks = 0;
        while !loopback.is_broken(lost) {
            looks += 1;
            assert!(looks <= 4, "{lost:?}");
            loopback.sent(lost);
            assert!(!loopback.is_broken(goes));
            loopback.sent(goes);
            loopback.delivered();
            loopback.returned(goes);
        }
    }
}

#[test]
fn what_is_lost_for_certain_shows_before_the_next_is_due() {
    let loopback = Loopback::default();
    let probe = || {
        loopback.sent(OwnTopic);
        loopback.returned(OwnTopic);
        loopback.loss(ForAll)
    };
    assert_eq!(probe(), Loss::None);
    loopback.sent(ForAll);
    assert_eq!(loopback.loss(ForAll), Loss::None, "it is on its way");
    assert_eq!(probe(), Loss::Chance);
    loopback.sent(ForAll);
    assert_eq!(loopback.loss(ForAll), Loss::None, "another one will tell");
    assert_eq!(probe(), Loss::Broken);
    loopback.returned(ForAll);
    assert_eq!(probe(), Loss::None);
}

#[test]
fn what_was_forgotten_on_its_way_is_not_taken_for_something_newer() {
    // A large cluster, in which beacons are rarer than probes, and a backlog.
    let loopback = Loopback::default();
    for way in [
        OwnTopic, OwnTopic, ForAll, OwnTopic, OwnTopic, OwnTopic, ForAll,
    ] {
        loopback.sent(way);
    }
    loopback.delivered();
    loopback.returned(OwnTopic);
    loopback.sent(OwnTopic);
    loopback.returned(OwnTopic);
    assert!(
        !loopback.is_broken(ForAll),
        "both are behind the second probe"
    );
}

#[test]
fn what_is_said_in_answer_counts_as_nothing_else() {
    let loopback = Loopback::default();
    loopback.said(ForAll);
    for way in [OwnTopic, OwnTopic, ForAll] {
        loopback.sent(way);
    }
    loopback.delivered();
    loopback.returned(ForAll);
    assert!(!loopback.is_broken(OwnTopic));
}

#[test]
fn a_new_link_begins_with_nothing_missing() {
    let loopback = Loopback::default();
    assert!(down_after(&loopback, 3, |_| {}));
    loopback.begin();
    assert!(!down_after(&loopback, 2, |_| {}));
}
