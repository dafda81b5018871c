//! A contract that has everything that there can be, and a server that holds it.

use std::time::Duration;

use realtime::{
    BoxError, Gateway, Json, Router, Session,
    contract::{
        AskError, Attendance, Contract, Event, Failure, Question, Refusal, Replier, Request, Room,
        RouterExt,
    },
    error::DeliverError,
    extract::Reply,
    history::Retention,
    middleware::{Inbound, Next, from_fn},
    room::RoomRule,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody wants to buy.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Wanted {
    pub(crate) article: Article,
    /// How many.
    #[serde(default = "one")]
    pub(crate) count: u32,
}

fn one() -> u32 {
    1
}

/// Both read and written, and not in the same form.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Article {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) colour: Option<Colour>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Colour {
    Green,
    Red,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Bought {
    pub(crate) article: Article,
    pub(crate) cents: u32,
}

#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
pub(crate) enum NotBought {
    #[error("there are only {left} left")]
    TooMany { left: u32 },
    #[error("the shop is closed")]
    Closed,
}

impl Refusal for NotBought {
    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Closed).then_some(Duration::from_secs(60))
    }
}

/// A layer's.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub(crate) enum NotAllowed {
    #[error("not for guests")]
    Guest,
}

impl Refusal for NotAllowed {}

/// Other names in TypeScript than in Rust.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Offer {
    pub(crate) article_name: String,
    pub(crate) until_then: Option<u64>,
}

pub(crate) const BUY: Request<Wanted, Bought, NotBought> =
    Request::new("shop/buy").summary("Buys something.");
pub(crate) const OPEN: Request<(), bool> = Request::new("open");
pub(crate) const FORGET: Request<String> = Request::new("forget");
pub(crate) const LATER: Request<u32, String, NotBought> = Request::new("later");
pub(crate) const OFFER: Event<Offer> = Event::new("offer").summary("Something is cheap.");
pub(crate) const BELL: Event<()> = Event::new("bell");
pub(crate) const SURE: Question<String, bool> = Question::new("sure");
pub(crate) const SAID: Event<String> = Event::new("said");
pub(crate) const WHO: Event<Attendance> = Event::new("who");
pub(crate) const TABLE: &str = "table:{floor}/{number}";

pub(crate) fn contract() -> Contract {
    let table = Room::new(TABLE).summary("People at a table.");
    Contract::new("Shop", "1.0.0")
        .description("Sells *everything*.")
        .path("/ws")
        .request(BUY)
        .request(OPEN)
        .request(FORGET)
        .request(LATER)
        .event(OFFER)
        .event(BELL)
        .question(SURE)
        .room(table.publish(SAID).announce(WHO))
        .room(Room::new("counter").event(OFFER).without_join())
        .errors::<NotAllowed>()
}

pub(crate) fn router() -> Router {
    Router::new()
        .handle(BUY, buy)
        .handle(OPEN, async |_: Session| Json(true))
        .handle(FORGET, forget)
        .handle(LATER, later)
        .layer(from_fn(no_guests))
        .room(
            TABLE,
            RoomRule::open()
                .publish(SAID.route())
                .announce(WHO.route())
                .history(Retention::new(10, Duration::from_secs(60)).unwrap()),
        )
        .room("counter", RoomRule::new())
}

async fn no_guests(inbound: Inbound, next: Next) -> Result<Reply, BoxError> {
    match inbound.session.identity_key().id() {
        "guest" => Err(NotAllowed::Guest.to_client_error().into()),
        _ => next.run(inbound).await,
    }
}

async fn buy(
    gateway: Gateway,
    session: Session,
    Json(Wanted { article, count }): Json<Wanted>,
) -> Result<Json<Bought>, Failure<NotBought>> {
    match article.name.as_str() {
        "moon" => return Err(NotBought::Closed.into()),
        "secret" => return Err(realtime::ClientError::new("secret", "not declared").into()),
        _ if count > 3 => return Err(NotBought::TooMany { left: 3 }.into()),
        _ => {}
    }
    offer(&gateway, &session, &article.name).await?;
    let cents = 100 * count;
    Ok(Json(Bought { article, cents }))
}

async fn offer(gateway: &Gateway, session: &Session, name: &str) -> Result<(), DeliverError> {
    let offer = Offer {
        article_name: format!("another {name}"),
        until_then: None,
    };
    OFFER.send(gateway.session(session.id()), &offer).await?;
    BELL.broadcast(gateway, &()).await?;
    Ok(())
}

async fn forget(session: Session, Json(what): Json<String>) -> Result<(), AskError> {
    // While the handler of a session runs, its client's answers are taken.
    if SURE.ask(&session, &what, Duration::from_secs(60)).await? {
        BELL.send_to(&session, &()).ok();
    }
    Ok(())
}

async fn later(
    replier: Replier<String, NotBought>,
    Json(count): Json<u32>,
) -> Result<(), Failure<NotBought>> {
    tokio::spawn(async move {
        let done = match count {
            0 => replier.refuse(&NotBought::TooMany { left: 0 }),
            _ => replier.reply(&format!("{count} of them")),
        };
        done.ok();
    });
    Ok(())
}
