//! Nothing fails: members come, go and move to other nodes, over each broker.

use std::{sync::Arc, time::Duration};

use realtime::{
    Builder,
    broker::{LocalBroker, pubsub::PubSubBroker},
    history::MemoryHistory,
    presence::MemoryPresence,
};
use realtime_testkit::servers::{Nats, Redis};

use super::{
    Books, HABITS, Habit, Load, NODES, Run,
    book::{Entry, ROOMS, is_kept},
    check,
    check::Ledger,
    sum,
};
use crate::cluster::Cluster;

/// Of each publisher, to each room.
const MESSAGES: u64 = 250;

fn load() -> Load {
    Load {
        pause: Duration::from_millis(10),
        enough: Arc::default(),
    }
}

/// The books balance without a loss.
async fn nothing_is_lost(mut run: Run) -> Books {
    run.join().await;
    run.publish();
    run.until_begun(MESSAGES).await;
    let books = run.end().await;
    let totals = books.audit();
    for kept in [false, true] {
        let sums = (
            sum(&totals, kept, |counts| counts.gaps),
            sum(&totals, kept, |counts| counts.lost),
            sum(&totals, kept, |counts| counts.missing),
        );
        assert_eq!(sums, (0, 0, 0));
    }
    assert!(sum(&totals, true, |counts| counts.recovered) > 0);
    let failed = books.sent.iter().flatten().map(|sent| sent.failed.len());
    assert_eq!(failed.sum::<usize>(), 0);
    run.stop().await;
    books
}

/// Where everything is in one process. The true books are then made wrong, and the checker says so.
pub(crate) async fn within_one_process_rooms_lose_nothing() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let history = MemoryHistory::new();
    let mut run = Run::new(load());
    for _ in 0..NODES {
        let shared = |builder: Builder| {
            let builder = builder.broker(broker.clone());
            builder.presence(presence.clone()).history(history.clone())
        };
        run.add("local:", "local:", shared).await;
    }
    let books = nothing_is_lost(run).await;
    for _ in 0..30 {
        let stays = fastrand::choice(0..books.members.len() / NODES / HABITS.len()).unwrap();
        let member = stays * NODES * HABITS.len();
        assert_eq!(HABITS[member / NODES % HABITS.len()], Habit::Stays);
        let room = fastrand::usize(..ROOMS.len());
        is_found(&books, member, room);
    }
}

/// A drop, a double and a swap at some place in this book.
fn is_found(books: &Books, member: usize, room: usize) {
    let book = &books.members[member][room];
    let is_wrong = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut changed = book.clone();
        change(&mut changed);
        let sent = &books.sent[room];
        check(is_kept(room), &changed, sent, &mut Ledger::new()).is_err()
    };
    assert!(!is_wrong(&|_| {}));
    let publisher = |entry: &Entry| match entry {
        Entry::Live { number, .. } => Some(number.0),
        _ => None,
    };
    // Two messages of one publisher, of which none of its others is between.
    let one = fastrand::usize(1..book.len() / 2);
    let who = publisher(&book[one]).unwrap();
    let other = (one + 1..book.len()).find(|line| publisher(&book[*line]) == Some(who));
    let other = other.unwrap();
    assert!(is_wrong(&|book| drop(book.remove(one))), "a drop at {one}");
    assert!(
        is_wrong(&|book| book.insert(one, book[one].clone())),
        "a double at {one}"
    );
    assert!(is_wrong(&|book| book.swap(one, other)), "{one} and {other}");
}

pub(crate) async fn over_redis_rooms_lose_nothing() {
    let redis = Redis::start().await.unwrap();
    let mut run = Run::new(load());
    for _ in 0..NODES {
        run.add_over(&redis.url(), &redis.url(), |builder| builder)
            .await;
    }
    nothing_is_lost(run).await;
}

pub(crate) async fn over_rabbitmq_rooms_lose_nothing() {
    let cluster = Cluster::start().await;
    let mut run = Run::new(load());
    for _ in 0..NODES {
        let (rabbitmq, redis) = (cluster.rabbitmq.url(), cluster.redis.url());
        run.add_over(&rabbitmq, &redis, |builder| builder).await;
    }
    nothing_is_lost(run).await;
}

/// With a broker that the framework knows nothing of.
pub(crate) async fn over_nats_rooms_lose_nothing() {
    let (nats, redis) = futures::try_join!(Nats::start(), Redis::start()).unwrap();
    let mut run = Run::new(load());
    for _ in 0..NODES {
        let nats = custom_broker::Nats::new(&nats.url()).unwrap();
        let broker = PubSubBroker::new(nats);
        let over_nats = |builder: Builder| builder.broker(broker);
        run.add_over("local:", &redis.url(), over_nats).await;
    }
    nothing_is_lost(run).await;
}
