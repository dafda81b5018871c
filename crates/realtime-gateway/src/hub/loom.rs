//! The end of a session, the outbox and the log in every interleaving of two or three threads:
//! `just loom`.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use loom::{
    future::block_on,
    model::Builder,
    sync::{
        Arc as LoomArc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};
use realtime_core::{CloseCode, DisconnectInfo, Initiator, RoomName};

use super::Shard;
use crate::{
    budget::{Budget, Share},
    config::Backpressure,
    dialects::DialectId,
    metrics::Metrics,
    outbound::{Audience, Log, Opening, Outbox, QueueLimits, Refused, Room},
    session::End,
    transport::Sink,
};

/// Runs a test in every interleaving with at most three preemptions, which finds nearly every
/// fault in a small part of the time.
fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

/// A peer that accepts a few bytes, and more when it has read.
#[derive(Clone, Default)]
struct Peer(LoomArc<Mutex<Window>>);

#[derive(Default)]
struct Window {
    room: usize,
    got: Vec<u8>,
    waiting: Option<Waker>,
    /// Notified when so many bytes have come: another thread may write the last.
    all: Option<(usize, Waker)>,
}

impl Peer {
    fn with_room(room: usize) -> Self {
        let peer = Self::default();
        peer.0.lock().unwrap().room = room;
        peer
    }

    fn read(&self, bytes: usize) {
        let waiting = {
            let mut window = self.0.lock().unwrap();
            window.room += bytes;
            window.waiting.take()
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn got(&self) -> Vec<u8> {
        self.0.lock().unwrap().got.clone()
    }
}

impl Sink for Peer {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut window = self.0.lock().unwrap();
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
        let taken: Vec<u8> = bytes.take(window.room).collect();
        if taken.is_empty() {
            window.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        window.room -= taken.len();
        window.got.extend(&taken);
        if window
            .all
            .as_ref()
            .is_some_and(|all| window.got.len() >= all.0)
            && let Some((_, waker)) = window.all.take()
        {
            drop(window);
            waker.wake();
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn outbox(peer: &Peer, messages: usize) -> LoomArc<Outbox<Peer>> {
    LoomArc::new(outbox_on(
        peer,
        messages,
        Arc::new(Log::new(0, DialectId::CODEC)),
    ))
}

fn outbox_on(peer: &Peer, messages: usize, log: Arc<Log>) -> Outbox<Peer> {
    let limits = QueueLimits {
        messages,
        bytes: 1024,
        policy: Backpressure::Close,
    };
    let queued = Share::new(Arc::new(Budget::new(usize::MAX)));
    let metrics = Metrics::default();
    Outbox::new(peer.clone(), Arc::new(limits), queued, log, metrics)
}

/// What the session's task does: writes until the peer has got so much.
fn pump_until(outbox: &Outbox<Peer>, peer: &Peer, bytes: usize) {
    block_on(std::future::poll_fn(|cx| {
        peer.0.lock().unwrap().all = Some((bytes, cx.waker().clone()));
        if let Poll::Ready(written) = outbox.poll_write(cx, |_| panic!("nothing was dropped")) {
            written.unwrap();
        }
        if peer.got().len() >= bytes {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
}

fn push_wait(outbox: &Outbox<Peer>, frame: &'static [u8]) -> Result<(), Refused> {
    let frame = Bytes::from_static(frame);
    block_on(outbox.push_wait(frame, |_| ()))
}

/// What the dispatcher of a shard does in one round, if there is anything to do by now.
fn round(shard: &Shard<Arc<Outbox<Peer>>>) {
    let mut taking = Box::pin(shard.log().take());
    let taken = block_on(std::future::poll_fn(|cx| {
        Poll::Ready(match taking.as_mut().poll(cx) {
            Poll::Ready(batch) => Some(batch),
            Poll::Pending => None,
        })
    }));
    let Some(batch) = taken else { return };
    let (mut members, mut from) = (Vec::new(), Some(0));
    while let Some(next) = from {
        from = shard.members_from(next, 1, &mut members);
    }
    for member in members {
        member.catch_up(&batch);
    }
    shard.log().release(&batch);
}

/// Writes what waits, once.
fn pump_once(outbox: &Outbox<Peer>) {
    let _written = block_on(std::future::poll_fn(|cx| {
        Poll::Ready(outbox.poll_write(cx, |_| Bytes::new()))
    }));
}

fn cause(by: Initiator) -> DisconnectInfo {
    DisconnectInfo::new(by, Some(CloseCode::NORMAL), "")
}

#[test]
fn loom_the_first_cause_wins_and_those_who_wait_are_notified() {
    model(|| {
        let (peer, end) = (Peer::with_room(8), LoomArc::new(End::default()));
        let outbox = outbox(&peer, 8);
        let wins = LoomArc::new(AtomicUsize::new(0));
        let closers = [Initiator::Server, Initiator::Client].map(|by| {
            let (outbox, end, wins) = (outbox.clone(), end.clone(), wins.clone());
            thread::spawn(move || {
                if outbox.end(|| end.record(cause(by))).is_some() {
                    end.notify();
                    wins.fetch_add(1, SeqCst);
                }
            })
        });
        block_on(end.recorded());
        let first = end.info().map(|info| info.initiator);
        assert!(first.is_some());
        for closer in closers {
            closer.join().unwrap();
        }
        assert_eq!(wins.load(SeqCst), 1);
        assert_eq!(end.info().map(|info| info.initiator), first);
    });
}

#[test]
fn loom_what_is_sent_is_written_in_order_though_the_socket_is_full_for_a_while() {
    model(|| {
        let peer = Peer::with_room(1);
        let outbox = outbox(&peer, 8);
        let sender = {
            let outbox = outbox.clone();
            thread::spawn(move || {
                outbox.push(Bytes::from_static(b"ab")).1.unwrap();
                outbox.push(Bytes::from_static(b"c")).1.unwrap();
            })
        };
        let reader = {
            let peer = peer.clone();
            thread::spawn(move || peer.read(2))
        };
        pump_until(&outbox, &peer, 3);
        assert_eq!(peer.got(), b"abc");
        sender.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn loom_a_sender_that_waits_for_room_gets_it() {
    model(|| {
        let peer = Peer::default();
        let outbox = outbox(&peer, 1);
        outbox.push(Bytes::from_static(b"a")).1.unwrap();
        let waiter = {
            let outbox = outbox.clone();
            thread::spawn(move || push_wait(&outbox, b"b"))
        };
        let reader = {
            let peer = peer.clone();
            thread::spawn(move || peer.read(2))
        };
        pump_until(&outbox, &peer, 2);
        assert_eq!(peer.got(), b"ab");
        assert_eq!(waiter.join().unwrap(), Ok(()));
        reader.join().unwrap();
    });
}

#[test]
fn loom_nothing_follows_the_close_frame_and_nobody_waits_for_ever() {
    model(|| {
        let peer = Peer::default();
        let outbox = outbox(&peer, 1);
        outbox.push(Bytes::from_static(b"a")).1.unwrap();
        let waiter = {
            let outbox = outbox.clone();
            thread::spawn(move || push_wait(&outbox, b"b"))
        };
        let sealer = {
            let (outbox, peer) = (outbox.clone(), peer.clone());
            thread::spawn(move || {
                assert!(outbox.end(|| ()).is_some());
                outbox.seal(Bytes::from_static(b"!"), false);
                peer.read(3);
                outbox.wake_task();
            })
        };
        pump_until(&outbox, &peer, 2);
        let waited = waiter.join().unwrap();
        sealer.join().unwrap();
        pump_once(&outbox);
        match waited {
            Ok(()) => assert_eq!(peer.got(), b"ab!"),
            Err(refused) => {
                assert_eq!(refused, Refused::Closed);
                assert_eq!(peer.got(), b"a!");
            }
        }
        assert_eq!(
            outbox.push(Bytes::from_static(b"c")).1,
            Err(Refused::Closed)
        );
    });
}

/// A member of a shard, as the hub makes it one.
fn join(shard: &Shard<Arc<Outbox<Peer>>>, peer: &Peer) -> (Arc<Outbox<Peer>>, u64) {
    let outbox = Arc::new(outbox_on(peer, 8, Arc::clone(shard.log())));
    let member = shard.insert(Arc::clone(&outbox));
    outbox.join();
    (outbox, member)
}

fn append(log: &Log, frame: &'static [u8]) -> usize {
    block_on(log.append(&Bytes::from_static(frame), None))
}

#[test]
fn loom_what_one_task_broadcasts_and_sends_arrives_in_that_order() {
    model(|| {
        let shard = LoomArc::new(Shard::new(0, DialectId::CODEC));
        let peer = Peer::with_room(1);
        let (outbox, _member) = join(&shard, &peer);
        let sender = {
            let (shard, outbox) = (shard.clone(), Arc::clone(&outbox));
            thread::spawn(move || {
                assert_eq!(append(shard.log(), b"a"), 1);
                outbox.push(Bytes::from_static(b"b")).1.unwrap();
            })
        };
        let dispatcher = {
            let shard = shard.clone();
            thread::spawn(move || round(&shard))
        };
        peer.read(8);
        pump_until(&outbox, &peer, 2);
        assert_eq!(peer.got(), b"ab");
        sender.join().unwrap();
        dispatcher.join().unwrap();
    });
}

#[test]
fn loom_a_session_that_joins_gets_all_that_counts_it_and_nothing_else() {
    model(|| {
        let shard = LoomArc::new(Shard::new(0, DialectId::CODEC));
        let early = Peer::with_room(8);
        let (first, _member) = join(&shard, &early);
        let broadcaster = {
            let shard = shard.clone();
            thread::spawn(move || append(shard.log(), b"a"))
        };
        let dispatcher = {
            let shard = shard.clone();
            thread::spawn(move || round(&shard))
        };
        let late = Peer::with_room(8);
        let (second, number) = join(&shard, &late);
        let accepted = second.end(|| ()).unwrap();
        shard.remove(number);
        let counted = broadcaster.join().unwrap();
        dispatcher.join().unwrap();
        round(&shard);
        pump_until(&first, &early, 1);
        assert_eq!(early.got(), b"a");
        // It ended at once: what counted it came with the end, or with the round before.
        pump_once(&second);
        assert!(accepted.sent <= 1);
        assert_eq!(late.got().len(), counted - 1);
    });
}

#[test]
fn loom_a_member_gets_what_a_room_has_counted_it_for_and_nothing_else() {
    model(|| {
        let shard = LoomArc::new(Shard::new(0, DialectId::CODEC));
        let peer = Peer::with_room(8);
        let (outbox, _number) = join(&shard, &peer);
        let name: RoomName = "a".parse().unwrap();
        let room = Arc::new(Room::new(name.clone(), 1));
        let sender = {
            let (shard, rooms) = (shard.clone(), vec![Arc::clone(&room)]);
            thread::spawn(move || {
                let to = Arc::new(Audience::new(rooms, Vec::new()));
                block_on(shard.log().append(&Bytes::from_static(b"a"), Some(&to)))
            })
        };
        let dispatcher = {
            let shard = shard.clone();
            thread::spawn(move || round(&shard))
        };
        let _joined = outbox.follow(&room, 0, 8, Opening::default());
        let _left = outbox.unfollow(&name);
        let counted = sender.join().unwrap();
        dispatcher.join().unwrap();
        round(&shard);
        pump_once(&outbox);
        assert_eq!(peer.got().len(), counted);
    });
}

/// A session is closed from one thread while others broadcast to it, and its task writes the close
/// frame as soon as it sees the end.
#[test]
fn loom_what_is_counted_before_the_end_arrives_before_the_close_and_nothing_after() {
    model(|| {
        let shard = LoomArc::new(Shard::new(0, DialectId::CODEC));
        let (peer, end) = (Peer::with_room(8), LoomArc::new(End::default()));
        let (outbox, _number) = join(&shard, &peer);
        let broadcaster = {
            let shard = shard.clone();
            thread::spawn(move || append(shard.log(), b"a"))
        };
        let closer = {
            let (outbox, end) = (Arc::clone(&outbox), end.clone());
            thread::spawn(move || {
                outbox.end(|| end.record(cause(Initiator::Server)));
                end.notify();
            })
        };
        // The session's task.
        block_on(end.recorded());
        outbox.seal(Bytes::from_static(b"!"), false);
        let counted = broadcaster.join().unwrap();
        closer.join().unwrap();
        round(&shard);
        pump_once(&outbox);
        let expected: &[u8] = if counted == 1 { b"a!" } else { b"!" };
        assert_eq!(peer.got(), expected);
    });
}

/// A session is in the index, where others find it, before it follows the log.
#[test]
fn loom_a_session_that_ends_before_it_follows_the_log_is_never_counted() {
    model(|| {
        let shard = LoomArc::new(Shard::new(0, DialectId::CODEC));
        let peer = Peer::with_room(8);
        let outbox = Arc::new(outbox_on(&peer, 8, Arc::clone(shard.log())));
        let closer = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || outbox.end(|| ()).is_some())
        };
        shard.insert(Arc::clone(&outbox));
        outbox.join();
        let counted = append(shard.log(), b"a");
        assert!(closer.join().unwrap());
        outbox.seal(Bytes::from_static(b"!"), false);
        pump_once(&outbox);
        assert_eq!(peer.got().len(), counted + 1);
        assert_eq!(append(shard.log(), b"late"), 0, "nobody is left");
    });
}

#[test]
fn loom_a_broadcast_that_waits_for_room_goes_on_when_the_last_reader_leaves() {
    model(|| {
        let shard = LoomArc::new(Shard::new(0, DialectId::CODEC));
        let peer = Peer::default();
        let (outbox, _number) = join(&shard, &peer);
        let large = Bytes::from(vec![0; 1024 * 1024]);
        assert_eq!(block_on(shard.log().append(&large, None)), 1);
        let broadcaster = {
            let shard = shard.clone();
            thread::spawn(move || append(shard.log(), b"a"))
        };
        let _unsent = outbox.release();
        assert_eq!(broadcaster.join().unwrap(), 0);
    });
}

/// What `begin` and the shutdown do: one becomes a member and then looks whether the gateway
/// drains, the other makes it drain and then ends every member.
#[test]
fn loom_a_session_that_begins_during_the_shutdown_is_ended_by_one_or_the_other() {
    model(|| {
        let shard = LoomArc::new(Shard::new(0, DialectId::CODEC));
        let drains = LoomArc::new(AtomicBool::new(false));
        let beginning = {
            let (shard, drains) = (shard.clone(), drains.clone());
            thread::spawn(move || {
                shard.insert("session");
                drains.load(SeqCst)
            })
        };
        drains.store(true, SeqCst);
        let mut seen = Vec::new();
        shard.members_from(0, 8, &mut seen);
        let ended_by_shutdown = seen.contains(&"session");
        let ended_by_itself = beginning.join().unwrap();
        assert!(ended_by_shutdown || ended_by_itself);
    });
}
