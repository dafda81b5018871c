//! Everybody who broadcasts gets a turn, whatever the others do. Counted in messages and polls.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use realtime::{Gateway, Json};
use realtime_testkit::wait::{until, within};

use crate::{drain::drain, support::Server};

/// One session, which reads, and whose queue holds whatever it must.
async fn one_session() -> (Server, Gateway) {
    let builder = crate::support::builder()
        .queue_messages(1 << 20)
        .queue_bytes(256 << 20);
    let builder = builder.write_timeout(None).heartbeat(None);
    let server = Server::start(builder.build().unwrap()).await;
    drain(server.connect().await);
    server.until_open(1).await;
    let gateway = server.gateway.clone();
    (server, gateway)
}

/// How many of so many broadcasts each of several tasks gets through.
async fn shares<const TASKS: usize>(broadcasts: usize) -> [usize; TASKS] {
    let (_server, gateway) = one_session().await;
    let left = Arc::new(AtomicUsize::new(broadcasts));
    let tasks = [(); TASKS].map(|()| {
        let (gateway, left) = (gateway.clone(), Arc::clone(&left));
        tokio::spawn(async move {
            let mut through = 0;
            while left
                .fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1))
                .is_ok()
            {
                gateway.broadcast("n", Json(&through)).await.unwrap();
                through += 1;
            }
            through
        })
    });
    let mut counts = [0; TASKS];
    for (count, task) in counts.iter_mut().zip(tasks) {
        *count = within("the end of a task", task).await.unwrap();
    }
    counts
}

fn is_fair(counts: &[usize]) -> bool {
    let (least, most) = (counts.iter().min(), counts.iter().max());
    least.unwrap() * 10 >= *most.unwrap()
}

#[tokio::test]
async fn three_tasks_that_broadcast_in_a_loop_share_the_way() {
    let counts = shares::<3>(30_000).await;
    assert!(is_fair(&counts), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_tasks_on_two_threads_share_the_way() {
    let counts = shares::<5>(30_000).await;
    assert!(is_fair(&counts), "{counts:?}");
}

/// When they give it up.
const MOST: usize = 100_000;

/// How many small broadcasts of other tasks get through while a large one waits for its turn.
async fn pass_a_large_one(tasks: usize, bytes: usize) -> usize {
    let (_server, gateway) = one_session().await;
    let (through, done) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let small: Vec<_> = (0..tasks)
        .map(|_| {
            let (gateway, through, done) =
                (gateway.clone(), Arc::clone(&through), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(SeqCst) && through.load(SeqCst) < MOST {
                    gateway.broadcast("n", Json(&1)).await.unwrap();
                    through.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    until("they are in full swing", async || {
        through.load(SeqCst) >= 1_000
    })
    .await;
    let large = "x".repeat(bytes);
    let before = through.load(SeqCst);
    let sent = within("the large one", gateway.broadcast("n", Json(&large))).await;
    let passed = through.load(SeqCst) - before;
    assert_eq!(sent.unwrap().local, 1);
    done.store(true, SeqCst);
    for task in small {
        within("the end of a task", task).await.unwrap();
    }
    passed
}

#[tokio::test]
async fn a_large_broadcast_gets_through_beside_many_small_ones() {
    // Larger than everything that may be on its way, and nearly as large.
    for bytes in [1_200_000, 1_000_000] {
        let passed = pass_a_large_one(3, bytes).await;
        assert!(passed < 2_000, "{passed} passed one of {bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_broadcast_gets_through_on_several_threads() {
    let passed = pass_a_large_one(3, 1_200_000).await;
    // Some pass while it is encoded, and before its task has a thread again.
    assert!(passed < MOST / 2, "{passed} passed");
}

/// Counts how often it is polled.
struct Counted<F>(Pin<Box<F>>, Arc<AtomicUsize>);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, SeqCst);
        self.0.as_mut().poll(cx)
    }
}

#[tokio::test]
async fn only_those_who_fit_are_woken() {
    const TASKS: usize = 4_000;
    let (_server, gateway) = one_session().await;
    let polls = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let (gateway, polls) = (gateway.clone(), Arc::clone(&polls));
            tokio::spawn(async move {
                let broadcast = Box::pin(async { gateway.broadcast("n", Json(&n)).await });
                Counted(broadcast, polls).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        within("a task", task).await.unwrap();
    }
    let polls = polls.load(SeqCst);
    assert!(polls <= 6 * TASKS, "{polls} polls for {TASKS} broadcasts");
}

/// One that is dropped while it waits keeps nobody else from going on.
#[tokio::test]
async fn a_broadcast_that_is_given_up_lets_the_next_pass() {
    let (_server, gateway) = one_session().await;
    let large = "x".repeat(700_000);
    for _ in 0..3 {
        let mut waiting: Vec<_> = (0..10)
            .map(|_| Box::pin(gateway.broadcast("n", Json(&large))))
            .collect();
        // All but the first have to wait, for there is room for one.
        for broadcast in &mut waiting {
            let _not_yet = futures::poll!(broadcast.as_mut());
        }
        // Each second one gives up, the first of the line among them.
        let mut n = 0;
        waiting.retain(|_| {
            n += 1;
            n % 2 == 0
        });
        for broadcast in waiting {
            within("one that waits", broadcast).await.unwrap();
        }
        let mut last = pin!(gateway.broadcast("n", ()));
        within("the next", last.as_mut()).await.unwrap();
    }
}
