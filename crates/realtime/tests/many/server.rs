//! The server: it tells its address, and then what it holds for each line that it reads.

use std::{
    io::BufRead,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use axum::http::request::Parts;
use realtime::{
    Gateway, Identity, Json, Router, Session,
    auth::{AuthError, Authenticator, StaticToken},
    config::{Limits, Rate},
    error::RequestErrorKind,
};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, runtime::Handle};

/// A server with the defaults.
pub(crate) const PATIENT: &str = "patient";
/// One that pings all the time, and soon gives up.
pub(crate) const IMPATIENT: &str = "impatient";
/// One whose clients are all somebody else.
pub(crate) const NAMED: &str = "named";
/// The same, with limits that nobody reaches.
pub(crate) const LIMITED: &str = "limited";
/// The same without limits, but what clients have shown ends in an hour.
pub(crate) const ENDING: &str = "ending";
/// How long it waits for an answer.
pub(crate) const PONG: Duration = Duration::from_millis(500);
/// How long it waits for a client that it has asked something, or that is to show who it is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

static UNANSWERED: AtomicU64 = AtomicU64::new(0);

/// What the server process holds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) sessions: u64,
    pub(crate) pong_timeouts: u64,
    /// How many clients gave no answer in time.
    pub(crate) unanswered: u64,
    pub(crate) tasks: usize,
    pub(crate) descriptors: usize,
    pub(crate) resident_bytes: usize,
}

impl Held {
    fn now(gateway: &Gateway) -> Self {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            sessions: gateway.stats().open,
            pong_timeouts: gateway.stats().pong_timeouts,
            unanswered: UNANSWERED.load(Relaxed),
            tasks: Handle::current().metrics().num_alive_tasks(),
            // One of them is the folder that is being read.
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count() - 1,
            resident_bytes: pages * 4096,
        }
    }
}

#[tokio::main]
pub(crate) async fn run(kind: &str) {
    let router = Router::new()
        .route("echo", async |Json(data): Json<u32>| Json(data))
        .route("ask me", ask);
    let mut builder = realtime::builder()
        .router(router)
        .shutdown_timeout(Some(Duration::from_secs(30)));
    if kind == IMPATIENT {
        builder = builder.heartbeat(Some(PONG / 2)).pong_timeout(Some(PONG));
    }
    if [NAMED, LIMITED, ENDING].contains(&kind) {
        let life = (kind == ENDING).then_some(Duration::from_secs(3600));
        let named = AtomicUsize::new(0);
        builder = builder.authenticator(Named { named, life });
    }
    if kind == LIMITED {
        let mut limits = Limits::default();
        limits.messages_per_session = Some(Rate::per_second(1_000));
        limits.bytes_per_session = Some(Rate::per_second(1024 * 1024));
        builder = builder.limits(limits);
    }
    let gateway = builder.build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    // Who comes here shows in its first message who it is.
    let door = realtime::builder()
        .authenticator(StaticToken::new("t0ken", Identity::new("ann")).unwrap())
        .token_in_message(Some(PATIENCE))
        .build()
        .unwrap();
    let app = axum::Router::new()
        .route_service("/ws", gateway.clone())
        .route_service("/door", door);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(
        realtime::serve(listener, app, gateway.clone())
            .with_graceful_shutdown(stopped)
            .into_future(),
    );
    let runtime = Handle::current();
    let asked = tokio::task::spawn_blocking(move || {
        // Ends with the parent, which holds the other end.
        for _question in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _in_runtime = runtime.enter();
            println!("{}", serde_json::to_string(&Held::now(&gateway)).unwrap());
        }
    });
    asked.await.unwrap();
    drop(stop);
    served.await.unwrap().unwrap();
}

/// Asks the client, while the client waits for this.
async fn ask(session: Session) {
    let answer = session.request("are you there?", (), PATIENCE).await;
    if answer.is_err_and(|error| error.kind() == RequestErrorKind::TimedOut) {
        UNANSWERED.fetch_add(1, Relaxed);
    }
}

/// Gives everybody a name of their own.
struct Named {
    named: AtomicUsize,
    /// For how long it holds, where it ends.
    life: Option<Duration>,
}

impl Authenticator for Named {
    async fn authenticate(&self, _: &Parts) -> Result<Identity, AuthError> {
        let n = self.named.fetch_add(1, Relaxed);
        let identity = Identity::new(format!("client-{n}"));
        Ok(match self.life {
            Some(life) => identity.with_expires_at(SystemTime::now() + life),
            None => identity,
        })
    }
}
