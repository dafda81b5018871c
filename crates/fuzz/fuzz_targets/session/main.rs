//! A whole session through the public API: a peer that sends lawful and unlawful bytes in any
//! pieces, stops reading, leaves; an application that sends, floods, closes, fails and panics.
//!
//! Whatever they do: no panic that wasn't asked for; what the peer reads is lawful, with one close
//! frame at the most and nothing behind it; every hook runs as often as it should; what waits is
//! bounded; what was sent has come or was told as missed; and at the end nothing is left.
#![no_main]

mod books;
mod host;
mod peer;
mod script;
mod verdict;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use realtime::{Gateway, Identity, SessionId, report::Stats};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinSet, yield_now},
    time::{Instant, sleep, sleep_until, timeout},
};

use books::Books;
use host::app_code;
use peer::Peer;
use script::{Action, Ending, Script, Setup, Step};
use verdict::hooks_ran;

/// How long a peer goes without looking at its socket while something comes.
const TURN: Duration = Duration::from_millis(250);
/// And while nothing does: less than any timeout.
const LONG_TURN: Duration = Duration::from_millis(1_900);
/// What waits beyond the policy's limit: answers, and what one message adds to them.
const REPLIES: u64 = 64 * 1024 + 8 * 1024;
/// What a frame that waits takes beside its bytes.
const FRAME: u64 = 128;
/// Control frames and the notice of a gap.
const CONTROLS: u64 = 1_024;
/// What is read ahead of the handlers before the last message: decoded, and as one read brings it.
const AHEAD: u64 = 64 * 1024;
const READ: u64 = 16 * 1024;
/// What a message takes beside its bytes, and its metadata beside that.
const OVERHEAD: u64 = 512;
const METADATA: u64 = 64 * 128;

thread_local! {
    // Time passes as soon as nobody has anything to do.
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
}

fuzz_target!(|script: Script| {
    RUNTIME.with(|runtime| {
        fastrand::seed(7);
        runtime.block_on(async {
            let run = Run::start(&script.setup).await;
            run.play(&script).await;
            settle().await;
            let left = tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks();
            assert_eq!(left, 0, "tasks are left");
        });
    });
});

/// Lets everybody do what there is to do.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

struct Run<'s> {
    setup: &'s Setup,
    gateway: Gateway,
    books: Books,
    peer: Peer,
    bystander: Option<Peer>,
    reset: Arc<AtomicBool>,
    reading: bool,
    /// It didn't read at the time when its session ended, or may not have.
    was_deaf: bool,
    /// It has ended its direction, or all of it.
    has_left: bool,
    /// Bytes were sent that may hold an id of ours.
    is_free: bool,
    ids: Vec<String>,
    sending: JoinSet<()>,
}

impl<'s> Run<'s> {
    async fn start(setup: &'s Setup) -> Self {
        let books = Books::default();
        let gateway = host::gateway(setup, &books);
        let reset = Arc::new(AtomicBool::new(false));
        let mut bystander = setup.bystander.then(|| {
            let (ours, theirs) = tokio::io::duplex(1 << 18);
            host::serve(&gateway, setup, theirs, &Arc::default());
            Peer::new(ours, true)
        });
        if let Some(bystander) = &mut bystander {
            bystander.write().await;
            settle().await;
            bystander.read().await;
            assert!(bystander.is_upgraded());
        }
        let (ours, theirs) = tokio::io::duplex(setup.wire.buffer());
        host::serve(&gateway, setup, theirs, &reset);
        Self {
            peer: Peer::new(ours, setup.answers_pings),
            setup,
            gateway,
            books,
            bystander,
            reset,
            reading: true,
            was_deaf: false,
            has_left: false,
            is_free: false,
            ids: Vec::new(),
            sending: JoinSet::new(),
        }
    }

    async fn play(mut self, script: &Script) {
        while !self.peer.is_upgraded() {
            self.turn(Duration::from_millis(1)).await;
        }
        for step in script.steps() {
            self.step(step).await;
        }
        self.end(script.ending).await;
    }

    /// A moment passes: bytes move, and then time.
    async fn turn(&mut self, time: Duration) {
        for _ in 0..64 {
            let before = self.peer.moved;
            self.peer.write().await;
            if self.reading {
                self.peer.read().await;
            }
            if let Some(bystander) = &mut self.bystander {
                bystander.read().await;
                bystander.write().await;
            }
            yield_now().await;
            self.check_memory();
            if self.peer.moved == before {
                break;
            }
        }
        sleep(time).await;
        self.check_memory();
    }

    async fn rest(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn_until(end).await;
        }
    }

    /// One turn, short while something comes.
    async fn turn_until(&mut self, end: Instant) {
        let before = self.peer.moved;
        self.turn(Duration::from_millis(1)).await;
        let turn = if self.peer.moved == before {
            LONG_TURN
        } else {
            TURN
        };
        sleep_until(end.min(Instant::now() + turn)).await;
    }

    fn check_memory(&self) {
        let Stats {
            queued_bytes,
            assembling_bytes,
            ..
        } = self.gateway.stats();
        let sessions = 1 + u64::from(self.bystander.is_some());
        let largest = self.books.open().largest as u64;
        // An empty queue accepts one larger message.
        let frames = self.setup.queue_messages() as u64 * FRAME;
        let queue = largest.max(self.setup.queue_bytes() as u64) + frames;
        let most = sessions * (queue + REPLIES + CONTROLS);
        assert!(queued_bytes <= most, "{queued_bytes} bytes wait");
        let limit = self.setup.read_limit() as u64;
        let last = 2 * limit + OVERHEAD + METADATA;
        let most = sessions * (2 * limit + AHEAD + READ + last);
        assert!(
            assembling_bytes <= most,
            "{assembling_bytes} bytes are unfinished or wait for handlers"
        );
    }

    async fn step(&mut self, step: &Step) {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let bytes = step.bytes(|| {
            // Nothing that the fuzzer could have learnt and put into a frame of its own.
            let id = IDS
                .fetch_add(1, Relaxed)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.ids.push(format!("{id:016x}"));
            format!("{id:016x}")
        });
        self.is_free |= bytes.is_free;
        for piece in &bytes.pieces {
            self.peer.send(piece);
            self.turn(Duration::from_millis(1)).await;
        }
        match step {
            Step::Reading(reading) => {
                self.reading = *reading;
                self.turn(Duration::from_millis(1)).await;
                self.was_deaf = !reading || (self.was_deaf && self.subject_has_ended());
            }
            Step::Rest { ms } => {
                self.rest(Duration::from_millis((*ms).into())).await;
            }
            Step::Server(action) => {
                self.act(*action).await;
                self.turn(Duration::from_millis(1)).await;
            }
            _ => {}
        }
    }

    fn subject(&self) -> Option<realtime::Session> {
        let subject = self.books.open().subject;
        subject.and_then(|id: SessionId| self.gateway.local_session(id))
    }

    fn subject_has_ended(&self) -> bool {
        self.subject().is_none_or(|session| session.is_closed())
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Broadcast(burst) => {
                for _ in 0..burst.times() {
                    self.books.broadcast(&self.gateway, burst.size()).await;
                }
            }
            Action::SendToIdentity(burst) => {
                let to = Identity::anonymous().key().clone();
                for _ in 0..burst.times() {
                    self.books
                        .send_to_identity(&self.gateway, &to, burst.size())
                        .await;
                }
            }
            Action::BeginShutdown => self.gateway.begin_shutdown(),
            Action::Send(_) | Action::SendWait(_) | Action::Close { .. } => {
                let Some(session) = self.subject() else {
                    return;
                };
                match action {
                    Action::Send(burst) => {
                        (0..burst.times()).for_each(|_| self.books.send(&session, burst.size()))
                    }
                    Action::SendWait(burst) => {
                        let books = self.books.clone();
                        self.sending.spawn(async move {
                            for _ in 0..burst.times() {
                                books.send_wait(&session, burst.size()).await;
                            }
                        });
                    }
                    Action::Close { code } => session.close(app_code(code), "by the application"),
                    _ => {}
                }
            }
        }
    }

    async fn end(mut self, ending: Ending) {
        match ending {
            Ending::PeerCloses => self.peer.send(&script::close(1000, "bye")),
            Ending::PeerHalfCloses => {
                self.has_left = true;
                self.peer.half_close().await;
            }
            Ending::PeerResets | Ending::PeerVanishes => {
                self.has_left = true;
                self.reset.store(ending == Ending::PeerResets, Relaxed);
                self.peer.vanish();
            }
            Ending::ServerCloses => {
                if let Some(session) = self.subject() {
                    session.close(app_code(4_002), "by the application");
                }
            }
            Ending::Shutdown | Ending::GatewayDropped => {}
            Ending::ShutdownWhileNotReading => {
                (self.reading, self.was_deaf) = (false, true);
            }
        }
        let ends_by_itself = !matches!(
            ending,
            Ending::Shutdown | Ending::ShutdownWhileNotReading | Ending::GatewayDropped
        );
        if ends_by_itself {
            self.until_gone().await;
        }
        self.ask_bystander().await;
        if ending == Ending::GatewayDropped {
            return self.drop_gateway().await;
        }
        let gateway = self.gateway.clone();
        let mut shutdown = tokio::spawn(async move { gateway.shutdown().await });
        let report = loop {
            tokio::select! {
                biased;
                report = &mut shutdown => break report.expect("no panic"),
                () = self.turn(TURN) => {}
            }
        };
        self.finish_reading().await;
        self.verdict(report);
        timeout(TURN, async {
            while self.sending.join_next().await.is_some() {}
        })
        .await
        .expect("whoever waits for room learns that the session has ended");
    }

    /// Whoever is gone is noticed, unless a handler holds up its session.
    async fn until_gone(&mut self) {
        let end = Instant::now() + Duration::from_secs(120);
        while Instant::now() < end {
            if self.subject().is_none() {
                return;
            }
            self.turn_until(end).await;
        }
        let waits = self.books.open().waits;
        // A close frame may be taken for a part of the garbage before it, or may never be read.
        let may_stay = self.peer.is_there() && (self.is_free || self.peer.unsent() > 0);
        assert!(waits || may_stay, "a session is left");
    }

    /// Others are served all the while.
    async fn ask_bystander(&mut self) {
        let Some(bystander) = &mut self.bystander else {
            return;
        };
        bystander.send(&script::request("bystander"));
        for _ in 0..4 {
            bystander.write().await;
            settle().await;
            bystander.read().await;
        }
        let answered = bystander.saw.ids.iter().any(|id| id == "bystander");
        let closed = bystander.saw.close.iter().flatten().next();
        // It may have been in the way of a burst, or of a shutdown.
        let excused = closed.is_some_and(|close| matches!(close.code, 1001 | 1013));
        assert!(answered || excused, "{:?}", bystander.saw);
    }

    async fn finish_reading(&mut self) {
        for _ in 0..64 {
            self.turn(Duration::from_millis(1)).await;
            if !self.reading || !self.peer.is_there() || self.peer.saw.end {
                break;
            }
        }
        assert!(
            !self.reading || !self.peer.is_there() || self.peer.saw.end,
            "the connection is left open"
        );
    }

    async fn drop_gateway(mut self) {
        // The last one: neither handlers nor the host keep another.
        drop(self.gateway);
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            let before = self.peer.moved;
            self.peer.write().await;
            if self.reading {
                self.peer.read().await;
            }
            if let Some(bystander) = &mut self.bystander {
                bystander.read().await;
            }
            let turn = if self.peer.moved == before {
                LONG_TURN
            } else {
                TURN
            };
            sleep(turn).await;
        }
        assert!(!self.reading || !self.peer.is_there() || self.peer.saw.end);
        while self.sending.join_next().await.is_some() {}
        hooks_ran(&self.books, None);
    }
}
