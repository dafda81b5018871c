//! `#[debug_handler]` changes nothing of a handler that fits.
#![cfg(feature = "macros")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{future::Future, pin::Pin};

use realtime::{
    BoxError, Gateway, Identity, Json, Message, Router, Session, State, debug_handler,
    extract::{FromRef, IntoReply, Replier, Reply},
};
use realtime_testkit::memory::connect;

#[derive(Clone)]
struct Database(&'static str);

#[derive(Clone)]
struct App {
    database: Database,
}

impl FromRef<App> for Database {
    fn from_ref(app: &App) -> Self {
        app.database.clone()
    }
}

#[debug_handler]
async fn nothing() {}

#[debug_handler(state = App)]
pub(crate) async fn part(State(database): State<Database>) -> Json<&'static str> {
    Json(database.0)
}

#[debug_handler]
async fn whole(
    _gateway: Gateway,
    _session: Option<Session>,
    State(app): State<App>,
    Json(data): Json<Vec<u8>>,
) -> Result<Json<String>, BoxError> {
    Ok(Json(format!("{}{data:?}", app.database.0)))
}

#[debug_handler(state = App)]
async fn later(replier: Replier, message: Message) -> Result<(), BoxError> {
    Ok(replier.reply(message.data())?)
}

#[debug_handler]
async fn hidden() -> impl IntoReply {
    Json("hidden")
}

#[debug_handler]
fn boxed(_message: Message) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
    Box::pin(async { Reply::empty() })
}

#[tokio::test(start_paused = true)]
async fn handlers_that_fit_are_as_they_were() {
    let database = Database("db");
    let router = Router::new()
        .route("nothing", nothing)
        .route("part", part)
        .route("whole", whole)
        .route("later", later)
        .route("hidden", hidden)
        .route("boxed", boxed)
        .with_state(App { database });
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut ann = connect(&gateway, Identity::new("ann")).await.unwrap();
    for (route, answer) in [
        ("nothing", ""),
        ("part", "\"db\""),
        ("whole", "\"db[1]\""),
        ("later", "[1]"),
        ("hidden", "\"hidden\""),
        ("boxed", ""),
    ] {
        let said = ann.request(route, Json([1])).await.unwrap();
        assert_eq!(said.data().as_bytes(), answer.as_bytes(), "{route}");
    }
}
