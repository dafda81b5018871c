//! Typed routes of the `realtime` gateway: declared once, checked by the compiler, and told to clients.
//! Use it through the facade's feature `contract`.
//!
//! ```text
//!                      const SAY: Request<Said, (), NotSaid>
//!                      const LINE: Event<Line>
//!                                   │
//!          ┌────────────────────────┼────────────────────────────┐
//!   router.handle(SAY, say)   LINE.send(room, &line)   Contract::request(SAY).room(…)
//!   held to it by rustc                                          │
//!                                               asyncapi.json ──►│ @forerunner/realtime-client (npm)
//!                                                                └► types of the client
//! ```
//!
//! A declaration is a constant, and the only place where its route's name stands. Beside it routes
//! without one go on as before. Types are described by [`schemars`], so what serde makes of them is
//! what clients are told.
//!
//! ```
//! use realtime::{
//!     ClientError, Gateway, Json, Router,
//!     contract::{Contract, Event, Failure, Refusal, Request, Room, RouterExt},
//! };
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Said {
//!     room: String,
//!     text: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Line {
//!     text: String,
//! }
//!
//! #[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
//! #[serde(tag = "code", content = "data", rename_all = "snake_case")]
//! enum NotSaid {
//!     #[error("there is nothing in it")]
//!     Empty,
//! }
//!
//! impl Refusal for NotSaid {}
//!
//! const SAY: Request<Said, (), NotSaid> = Request::new("say").summary("Says a line.");
//! const LINE: Event<Line> = Event::new("line");
//!
//! async fn say(gateway: Gateway, Json(said): Json<Said>) -> Result<(), Failure<NotSaid>> {
//!     if said.text.is_empty() {
//!         return Err(NotSaid::Empty.into());
//!     }
//!     LINE.send(gateway.room(said.room), &Line { text: said.text }).await?;
//!     Ok(())
//! }
//!
//! fn contract() -> Contract {
//!     Contract::new("Chat", "1.0.0").request(SAY).room(Room::new("room:{name}").event(LINE))
//! }
//!
//! let router: Router = Router::new().handle(SAY, say);
//! println!("{:#}", contract().asyncapi()?);
//! # Ok::<(), realtime::contract::InvalidContract>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod asyncapi;
mod codes;
mod contract;
mod entry;
mod event;
mod handler;
mod question;
mod refusal;
mod replier;
mod request;
mod room;
mod schemas;
mod unhandled;

pub use contract::{Contract, InvalidContract};
pub use entry::Errors;
pub use event::Event;
pub use handler::{
    AnArgument, Answers, Beside, ButItReadsTheData, DataOf, Fails, InLastPlace, InNoPlace,
    ReadsData, RouterExt, Takes,
};
pub use question::{AskError, Question};
pub use refusal::{Failure, Refusal, Undeclared};
pub use replier::Replier;
pub use request::Request;
pub use room::{Attendance, Member, Room};
