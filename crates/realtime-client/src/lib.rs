//! The client of a realtime gateway: a connection that comes back, requests with answers, and rooms
//! that lose nothing.
//!
//! ```no_run
//! use futures::StreamExt;
//! use realtime_client::{Client, Json, RoomEvent};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("wss://gateway.example/ws")
//!     .token(async |_reason| Ok(Some("eyJ…".to_owned())))
//!     .connect()?;
//!
//! let price: f64 = client.ask("price", "tea").await?;
//!
//! let mut order = client.room("order:42").join().await?;
//! order.publish(Json("on its way")).await?;
//! while let Some(event) = order.next().await {
//!     match event {
//!         RoomEvent::Message(message) => println!("{}", message.decode::<String>()?),
//!         RoomEvent::Lost => println!("load afresh what you show"),
//!         _ => {}
//!     }
//! }
//! # let _ = price;
//! # Ok(()) }
//! ```
//!
//! ```text
//!   Client  Room  Membership ── commands, bounded ──►┐
//!                                                    │ task: one, has the connection
//!   Messages  Questions  Membership ◄── inboxes ─────┤   outbox   what was said and isn't done with
//!            bounded, the oldest is dropped          │   rooms    where each is in its history
//!                                                    │   link     frames, pings (realtime-websocket)
//!                                                    ▼   dial     token, TCP, TLS, upgrade
//! ```
//!
//! What it does about tokens, close codes and lost messages is that of the browser's client, and of
//! `docs/protocol.md`.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod advice;
mod backoff;
mod builder;
mod client;
mod command;
mod compression;
mod dial;
mod error;
mod inbox;
mod link;
mod liveness;
mod outbox;
mod question;
mod reach;
mod room;
mod rooms;
mod settings;
mod shared;
mod socket;
mod state;
mod task;
#[cfg(feature = "rustls")]
mod tls;
mod token;
mod unreadable;
mod upgrade;

pub use builder::ClientBuilder;
pub use client::{Client, Incoming, Messages};
pub use error::{BuildError, Refusal, RequestError};
pub use question::{Question, Questions};
pub use realtime_codec_json::Json;
pub use realtime_core::{
    ClientError, Exchange, IntoPayload, Message, MessageId, Payload, RoomName, Text,
    codec::Codec,
    history::{Epoch, Position},
};
pub use room::{Member, Members, Membership, Room, RoomEvent};
pub use state::{End, State};
pub use token::{TokenIn, TokenReason};

/// The target of everything that is logged here.
pub(crate) const LOG: &str = "realtime::client";

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/clients.md")]
struct Clients;
