//! The one task of a client: it connects, comes back, and knows what was said and what is heard.

mod connecting;
mod hearing;
mod saying;
mod tokens;
mod turns;

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use realtime_core::{RoomName, auth::Token};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use crate::{
    End, RequestError, State,
    backoff::Backoff,
    command::Command,
    dial::{Failed, Opened},
    inbox::Outlet,
    link::{Heard, Link, until},
    outbox::{Done, Outbox},
    reach::Tried,
    rooms::Room,
    settings::Settings,
    shared::Shared,
    token::TokenReason,
    unreadable::Unreadable,
};

/// How many events of one read are heard before anything else has its turn.
const TURN: usize = 64;
/// How many such turns what has come may have before timers are looked at.
const TURNS: usize = 64;
/// In how many reads: about as much as a kernel keeps for a socket.
const READS: usize = 1_024;
/// How long those that are just saying something to a client that has ended may take for it.
const LAST_WORDS: Duration = Duration::from_secs(1);

type Opening = Pin<Box<dyn Future<Output = Result<Opened, Failed>> + Send>>;

enum Phase {
    /// Until the next attempt.
    Waiting(Instant),
    Opening(Opening),
    Open(Box<Link>),
    Ended,
}

/// What a phase brings.
enum Brought {
    Again,
    Opened(Box<Result<Opened, Failed>>),
    Heard(Heard),
}

impl Phase {
    /// Nothing is lost when it is dropped.
    async fn next(&mut self) -> Brought {
        match self {
            Self::Waiting(at) => {
                tokio::time::sleep_until(*at).await;
                Brought::Again
            }
            Self::Opening(opening) => Brought::Opened(Box::new(opening.await)),
            Self::Open(link) => Brought::Heard(link.hear().await),
            Self::Ended => std::future::pending().await,
        }
    }
}

struct Task {
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    weak: mpsc::WeakSender<Command>,
    state: watch::Sender<State>,
    phase: Phase,
    /// Which connection it is: what belongs to an older one is void.
    link: u64,
    /// It may be used for what does no harm if it is done twice; the rest waits until it is online.
    is_open: bool,
    is_online: bool,
    outbox: Outbox,
    rooms: HashMap<RoomName, Room>,
    /// Those that are to be entered, one after the other.
    turns: turns::Turns,
    generations: u64,
    /// The earliest time at which a room is to be entered again.
    rooms_at: Option<Instant>,
    backoff: Backoff,
    tried: Arc<Tried>,
    /// Attempts since the last message from the server.
    attempts: u32,
    /// Why the next token is asked for.
    reason: TokenReason,
    /// Since the last message from the server a token was refused.
    was_refused: bool,
    /// The last end, since the last message from the server, by which a token was refused or had
    /// expired.
    refusal: Option<End>,
    shown: Option<Token>,
    stale: Option<Token>,
    renewal: tokens::Renewal,
    renewals: Backoff,
    unreadable: Unreadable,
}

pub(crate) async fn run(
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    mut commands: mpsc::Receiver<Command>,
    weak: mpsc::WeakSender<Command>,
    state: watch::Sender<State>,
) {
    // However the task ends.
    let _last = Last(Arc::clone(&shared));
    let mut task = Task {
        outbox: Outbox::new(settings.queue, settings.max_requests),
        backoff: Backoff::new(settings.backoff),
        renewals: Backoff::new(settings.backoff),
        settings,
        shared: Arc::clone(&shared),
        weak,
        state,
        phase: Phase::Ended,
        link: 0,
        is_open: false,
        is_online: false,
        rooms: HashMap::new(),
        turns: turns::Turns::default(),
        generations: 0,
        rooms_at: None,
        tried: Arc::default(),
        attempts: 0,
        reason: TokenReason::Connect,
        was_refused: false,
        refusal: None,
        shown: None,
        stale: None,
        renewal: tokens::Renewal::None,
        unreadable: Unreadable::default(),
    };
    task.attempt();
    while !matches!(task.phase, Phase::Ended) {
        let hears = task.has_room();
        let at = task.next_time();
        tokio::select! {
            command = commands.recv(), if hears => match command {
                Some(command) => task.command(command),
                None => task.close().await,
            },
            // Beside the commands, which aren't heard while the server doesn't read.
            () = shared.closing.notified() => task.close().await,
            brought = task.phase.next() => task.brought(brought),
            found = task.renewal.next() => task.renew_with(found),
            () = shared.gone.notified() => task.leave_unread(),
            () = until(at) => {
                task.hear_what_is_there();
                task.timers();
            }
        }
        task.enter_waiting();
    }
    // Whoever is told of the end, and asks again, hears of it at once.
    commands.close();
    shared.close();
    drop(task);
    let declining = async {
        while let Some(command) = commands.recv().await {
            Task::decline(command);
        }
    };
    // A place among the commands may be kept by a future that nobody polls. Polled, it learns that
    // there is none.
    let _all_or_not = timeout(LAST_WORDS, declining).await;
}

/// Nothing is heard any more once it is dropped.
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Task {
    fn has_room(&self) -> bool {
        match &self.phase {
            Phase::Open(link) => link.has_room(),
            _ => true,
        }
    }

    fn brought(&mut self, brought: Brought) {
        match brought {
            Brought::Again => self.attempt(),
            Brought::Opened(opened) => self.opened(*opened),
            Brought::Heard(heard) => {
                self.heard(heard);
                for _ in 1..TURN {
                    let Phase::Open(link) = &mut self.phase else {
                        break;
                    };
                    let Some(heard) = link.buffered() else {
                        break;
                    };
                    self.heard(heard);
                }
            }
        }
    }

    /// What has come by now, before anybody is told that it hasn't: this process may have been stopped
    /// for a while, and an answer waits in the socket.
    fn hear_what_is_there(&mut self) {
        let mut reads = READS;
        for _ in 0..TURNS {
            let Phase::Open(link) = &mut self.phase else {
                return;
            };
            let Some(heard) = link.hear_now(&mut reads) else {
                return;
            };
            self.brought(Brought::Heard(heard));
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let times = [self.outbox.deadline(), self.rooms_at, self.renewal.at()];
        times.into_iter().flatten().min()
    }

    fn timers(&mut self) {
        let now = Instant::now();
        let mut is_silent = false;
        while let Some(entry) = self.outbox.late(now) {
            let sent = entry.message.is_none();
            is_silent |= sent;
            self.settle(entry.done, Err(RequestError::TimedOut { sent }));
        }
        if is_silent && let Phase::Open(link) = &mut self.phase {
            link.probe();
        }
        if self.rooms_at.is_some_and(|at| at <= now) {
            let due = self
                .rooms
                .iter()
                .filter(|(_, room)| room.retry_at.is_some_and(|at| at <= now));
            let due: Vec<RoomName> = due.map(|(name, _)| name.clone()).collect();
            for name in due {
                self.enter(&name);
            }
            self.rooms_at = self.rooms.values().filter_map(|room| room.retry_at).min();
        }
        if self.renewal.at().is_some_and(|at| at <= now) {
            self.renew_now();
        }
    }

    /// Ends it from this side.
    async fn close(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        if let Phase::Open(link) = phase {
            link.close().await;
        }
        self.finish(End::closed(1000, "this client has closed it"));
    }

    /// There won't be a connection.
    fn finish(&mut self, end: End) {
        connecting::log(&end, None);
        self.phase = Phase::Ended;
        self.lose(State::Ended(end), true);
    }

    /// There is no connection any more.
    fn lose(&mut self, state: State, is_over: bool) {
        self.link += 1;
        (self.is_open, self.is_online) = (false, false);
        self.renewal = tokens::Renewal::None;
        self.rooms_at = None;
        self.turns.clear();
        // First the state, so that nobody who hears of a loss takes this for a connection.
        self.state.send_replace(state);
        for entry in self.outbox.lose(is_over) {
            let error = match (&entry.done, entry.message) {
                // What this client does for itself is asked anew with the next connection.
                (Done::Room(..) | Done::Shown { .. }, _) => continue,
                (_, Some(_)) => RequestError::Ended,
                (_, None) => RequestError::Lost { sent: true },
            };
            self.settle(entry.done, Err(error));
        }
        for room in self.rooms.values_mut() {
            room.disconnected();
            if is_over {
                room.out(&RequestError::Ended);
            }
        }
        if is_over {
            self.rooms.clear();
        }
    }

    fn outlet_of_questions(&self) -> Outlet<crate::Question> {
        self.shared.questions()
    }
}
