//! Who is in a room where the store of that fails, forgets, hangs or loses its answers, and where
//! hooks are slow.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{
    Builder, Gateway, Identity, IdentityKey, Router,
    broker::NodeInfo,
    node::{Events, Incarnation},
    presence::{
        AnyRoster, CLAIM, Change, ChangeKind, Departed, Entered, Group, Member, MemberPage,
        MemoryPresence, NodeSessions, Online, Presence, PresenceError, PresenceErrorKind,
        PresenceEvent, PresenceEvents, Prolonged, Registered, Renewed, Roster, SessionInfo,
        SessionKey, Unregistered,
    },
    room::RoomRule,
};
use realtime_testkit::memory::{TestClient, connect};
use tokio::time::{Instant, sleep};

/// A store whose roster does as it is told.
#[derive(Clone)]
struct Troubled {
    store: Arc<Mutex<MemoryPresence>>,
    trouble: Arc<Trouble>,
}

#[derive(Default)]
struct Trouble {
    /// Calls fail.
    fails: AtomicBool,
    /// Calls never return.
    hangs: AtomicBool,
    /// Calls are carried out, and their answer is lost.
    is_deaf: AtomicBool,
    confirmed: AtomicUsize,
    /// Calls about sessions fail.
    is_partial: AtomicBool,
    events: Events<PresenceEvent>,
}

impl Troubled {
    fn new() -> Self {
        Self {
            store: Arc::new(Mutex::new(MemoryPresence::new())),
            trouble: Arc::default(),
        }
    }

    fn roster(&self) -> AnyRoster {
        self.store.lock().unwrap().roster().unwrap()
    }

    /// Nothing is left of what it knew.
    fn forget_all(&self) {
        *self.store.lock().unwrap() = MemoryPresence::new();
    }

    fn asked_about_sessions<T: Default>(&self) -> Result<T, PresenceError> {
        match self.trouble.is_partial.load(SeqCst) {
            true => Err(away()),
            false => Ok(T::default()),
        }
    }

    async fn asked<T>(
        &self,
        call: impl Future<Output = Result<T, PresenceError>>,
    ) -> Result<T, PresenceError> {
        if self.trouble.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.trouble.fails.load(SeqCst) {
            return Err(away());
        }
        let answer = call.await;
        match self.trouble.is_deaf.load(SeqCst) {
            true => Err(away()),
            false => answer,
        }
    }
}

fn away() -> PresenceError {
    PresenceError::new(PresenceErrorKind::Unavailable, "away")
}

impl Roster for Troubled {
    async fn enter(
        &self,
        node: &NodeInfo,
        members: &[Member],
        ttl: Option<Duration>,
    ) -> Result<Entered, PresenceError> {
        let roster = self.roster();
        self.asked(async move { roster.enter(node, members, ttl).await })
            .await
    }

    async fn leave(
        &self,
        node: &NodeInfo,
        members: &[Member],
        grace: Duration,
    ) -> Result<Departed, PresenceError> {
        let roster = self.roster();
        self.asked(async move { roster.leave(node, members, grace).await })
            .await
    }

    async fn renew(
        &self,
        node: &NodeInfo,
        groups: &[(Group, u64)],
        ttl: Option<Duration>,
    ) -> Result<Prolonged, PresenceError> {
        let roster = self.roster();
        self.asked(async move { roster.renew(node, groups, ttl).await })
            .await
    }

    async fn changes(&self, limit: usize) -> Result<Vec<Change>, PresenceError> {
        let roster = self.roster();
        self.asked(async move { roster.changes(limit).await }).await
    }

    async fn confirm(&self, changes: &[Change]) -> Result<(), PresenceError> {
        let roster = self.roster();
        self.trouble.confirmed.fetch_add(changes.len(), SeqCst);
        self.asked(async move { roster.confirm(changes).await })
            .await
    }

    async fn members(
        &self,
        group: &Group,
        after: Option<u64>,
        limit: usize,
    ) -> Result<MemberPage, PresenceError> {
        let roster = self.roster();
        self.asked(async move { roster.members(group, after, limit).await })
            .await
    }
}

/// Of sessions it knows as any store does.
impl Presence for Troubled {
    async fn register(
        &self,
        _: &[SessionInfo],
        _: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        self.asked_about_sessions()
    }

    async fn unregister(&self, _: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        Ok(Unregistered::default())
    }

    async fn renew(&self, _: &[SessionKey], _: Option<Duration>) -> Result<Renewed, PresenceError> {
        self.asked_about_sessions()
    }

    async fn sessions(&self, _: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        Ok(Vec::new())
    }

    async fn nodes(&self, _: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        Ok(Vec::new())
    }

    async fn online(&self, _: &[IdentityKey]) -> Result<Online, PresenceError> {
        Ok(Online::default())
    }

    fn roster(&self) -> Option<AnyRoster> {
        Some(AnyRoster::new(self.clone()))
    }

    fn events(&self) -> PresenceEvents {
        PresenceEvents::new(self.trouble.events.subscribe())
    }

    async fn close(&self) {}
}

/// Whether somebody came, who, and as which change.
type Heard = Arc<Mutex<Vec<(bool, String, u64)>>>;

fn builder(store: &Troubled, heard: &Heard) -> Builder {
    let router = Router::new().room("chat", RoomRule::open().presence());
    let heard = Arc::clone(heard);
    crate::support::builder()
        .router(router)
        .presence(store.clone())
        .presence_grace(Some(Duration::from_secs(2)))
        .on_presence(move |change: Change| {
            let came = change.kind == ChangeKind::Joined;
            let id = change.member.identity.id().to_owned();
            heard.lock().unwrap().push((came, id, change.version));
            async {}
        })
}

async fn join(gateway: &Gateway, name: &str) -> TestClient {
    let client = connect(gateway, Identity::new(name)).await.unwrap();
    let session = client.session(gateway).unwrap();
    session.join("chat").await.unwrap();
    client
}

/// Another node took it to tell of, under this version, and has gone.
async fn comes_elsewhere(store: &Troubled, name: &str) -> u64 {
    let other = NodeInfo::new("other".parse().unwrap(), Incarnation::random());
    let group = Group::Room("chat".parse().unwrap());
    let member = [Member::new(group, IdentityKey::new(name))];
    let entered = store.roster().enter(&other, &member, None).await.unwrap();
    entered.changes[0].version
}

async fn count(gateway: &Gateway) -> u64 {
    gateway.room("chat").members(None, 100).await.unwrap().count
}

fn of(heard: &Heard, name: &str) -> Vec<bool> {
    let heard = heard.lock().unwrap();
    let of_name = heard.iter().filter(|(_, id, _)| id == name);
    of_name.map(|(came, ..)| *came).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_confirmed_is_never_told_again() {
    let (store, heard) = (Troubled::new(), Heard::default());
    let gateway = builder(&store, &heard).build().unwrap();
    let ann = join(&gateway, "ann").await;
    sleep(3 * CLAIM).await;
    assert_eq!(of(&heard, "ann"), [true]);
    drop(ann);
    sleep(3 * CLAIM).await;
    assert_eq!(of(&heard, "ann"), [true, false]);
    assert_eq!(store.trouble.confirmed.load(SeqCst), 2);
}

/// As by a node that dies in the middle of it.
#[tokio::test(start_paused = true)]
async fn what_is_not_confirmed_is_told_again_under_the_same_version() {
    let (store, heard) = (Troubled::new(), Heard::default());
    let gateway = builder(&store, &heard).build().unwrap();
    let version = comes_elsewhere(&store, "bob").await;
    let _ann = join(&gateway, "ann").await;
    sleep(2 * CLAIM).await;
    let told = heard.lock().unwrap().clone();
    assert!(
        told.contains(&(true, "bob".to_owned(), version)),
        "{told:?}"
    );
    assert_eq!(of(&heard, "bob"), [true]);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_fails_sessions_join_and_are_told_of_later() {
    let (store, heard) = (Troubled::new(), Heard::default());
    let gateway = builder(&store, &heard).build().unwrap();
    let _ann = join(&gateway, "ann").await;
    store.trouble.fails.store(true, SeqCst);
    let bob = join(&gateway, "bob").await;
    let start = Instant::now();
    let _eve = join(&gateway, "eve").await;
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    let error = gateway.room("chat").members(None, 100).await.unwrap_err();
    assert_eq!(error.kind(), PresenceErrorKind::Unavailable);
    // Who comes and goes meanwhile was never there.
    drop(bob);
    sleep(Duration::from_secs(20)).await;
    store.trouble.fails.store(false, SeqCst);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(count(&gateway).await, 2);
    assert_eq!(of(&heard, "eve"), [true]);
    assert_eq!(of(&heard, "bob"), [false; 0]);
}

/// It goes down as a whole, and comes back without the part that all sessions of this node are on.
#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_is_told_though_no_session_of_the_node_is_served() {
    let (store, heard) = (Troubled::new(), Heard::default());
    // Nobody reads what the server sends, pings among it.
    let gateway = builder(&store, &heard).heartbeat(None).build().unwrap();
    let _ann = join(&gateway, "ann").await;
    sleep(Duration::from_secs(1)).await;
    store.trouble.is_partial.store(true, SeqCst);
    store.trouble.fails.store(true, SeqCst);
    let down = PresenceEvent::down("no answer");
    store.trouble.events.send(down);
    // It is asked whether it serves somebody, and does not.
    sleep(Duration::from_secs(20)).await;
    store.trouble.fails.store(false, SeqCst);
    comes_elsewhere(&store, "bob").await;
    let eve = join(&gateway, "eve").await;
    sleep(3 * CLAIM).await;
    assert_eq!(of(&heard, "bob"), [true]);
    assert_eq!(of(&heard, "eve"), [true]);
    drop(eve);
    sleep(3 * CLAIM).await;
    assert_eq!(of(&heard, "eve"), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_nobody_up_for_long() {
    let (store, heard) = (Troubled::new(), Heard::default());
    let gateway = builder(&store, &heard).build().unwrap();
    let _ann = join(&gateway, "ann").await;
    store.trouble.hangs.store(true, SeqCst);
    for name in ["bob", "eve"] {
        let start = Instant::now();
        let client = connect(&gateway, Identity::new(name)).await.unwrap();
        let session = client.session(&gateway).unwrap();
        session.join("chat").await.unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }
    let report = gateway.shutdown().await;
    assert_eq!(report.tasks_left, 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_there_is_told_to_a_store_that_has_forgotten_and_to_nobody_else() {
    let (store, heard) = (Troubled::new(), Heard::default());
    let gateway = builder(&store, &heard).build().unwrap();
    let _ann = join(&gateway, "ann").await;
    let bob = join(&gateway, "bob").await;
    sleep(Duration::from_secs(1)).await;
    store.trouble.fails.store(true, SeqCst);
    // He goes while it is away, and it comes back without anything.
    drop(bob);
    sleep(Duration::from_secs(5)).await;
    store.forget_all();
    store.trouble.fails.store(false, SeqCst);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(count(&gateway).await, 1);
    assert_eq!(
        of(&heard, "ann"),
        [true],
        "for others she has always been there"
    );
    let of_bob = of(&heard, "bob");
    assert_eq!(
        of_bob,
        [true, false],
        "that he has gone is told all the same"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_carried_out_and_not_answered_is_told_once() {
    let (store, heard) = (Troubled::new(), Heard::default());
    let gateway = builder(&store, &heard).build().unwrap();
    store.trouble.is_deaf.store(true, SeqCst);
    let _ann = join(&gateway, "ann").await;
    sleep(Duration::from_secs(3)).await;
    store.trouble.is_deaf.store(false, SeqCst);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(count(&gateway).await, 1);
    assert_eq!(of(&heard, "ann"), [true]);
}

/// What is told of one member is told in order; nobody waits for the others' hooks.
#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_holds_up_nobody_else() {
    let (store, heard) = (Troubled::new(), Heard::default());
    let hang = async |change: Change| {
        if change.member.identity.id().starts_with("slow") {
            std::future::pending::<()>().await;
        }
    };
    let gateway = builder(&store, &heard).hook_timeout(None);
    let gateway = gateway.on_presence(hang).build().unwrap();
    let mut slow = Vec::new();
    for n in 0..20 {
        slow.push(join(&gateway, &format!("slow {n}")).await);
    }
    let start = Instant::now();
    let _ann = join(&gateway, "ann").await;
    while of(&heard, "ann").is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    sleep(4 * CLAIM).await;
    for n in 0..20 {
        assert_eq!(
            of(&heard, &format!("slow {n}")),
            [true],
            "once, though it hangs"
        );
    }
}

/// All of them at once, with hooks that take their time.
#[tokio::test(start_paused = true)]
async fn of_a_crowd_each_is_told_once() {
    let (store, heard) = (Troubled::new(), Heard::default());
    let slow = async |_: Change| sleep(Duration::from_millis(50)).await;
    let gateway = builder(&store, &heard).on_presence(slow).build().unwrap();
    let mut crowd = Vec::new();
    for n in 0..1_500 {
        let client = connect(&gateway, Identity::new(n.to_string()))
            .await
            .unwrap();
        let session = client.session(&gateway).unwrap();
        crowd.push((
            client,
            tokio::spawn(async move { session.join("chat").await }),
        ));
    }
    sleep(4 * CLAIM).await;
    let told = heard.lock().unwrap().clone();
    let mut ids: Vec<_> = told.iter().map(|(_, id, _)| id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((told.len(), ids.len()), (1_500, 1_500));
}
