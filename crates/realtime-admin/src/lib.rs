//! A page for operators of the `realtime` gateway, and what it is made of: a tower service that the host
//! mounts on a path of its own, behind its own authentication. Use it through the facade's feature
//! `admin`.
//!
//! ```text
//!   GET /admin/                    the page, in one piece
//!   GET /admin/realtime-client.js  the browser client of this project
//!   GET /admin/api/node            what `Gateway::inspect` says, as JSON
//!   GET /admin/api/sessions        a page of sessions: ?containing=ann&limit=50&after=…
//!   GET /admin/api/rooms           a page of rooms: ?containing=chat:&limit=50&after=…
//!       /admin/ws                  a small gateway of the page's own: all of that, once a second, and
//!                                  what changes something
//! ```
//!
//! The [guard](Unguarded::guard) is asked for each of them, so nothing is there for anybody else. What
//! changes something comes over the WebSocket alone, to which only pages of the same origin may connect;
//! the rest is read by nobody else, since no other origin is allowed to.
//!
//! ```
//! use realtime::{Identity, admin::Admin, auth::StaticToken};
//!
//! # let gateway = realtime::builder().build()?;
//! // Your own authenticator, where you have one: whoever it lets in and has the role may act.
//! let operators = StaticToken::new("s3cret", Identity::new("ops").with_role("admin"))?
//!     .from_cookie("admin");
//! let admin = Admin::of(&gateway).guard(operators, |who| who.has_role("admin"))?;
//! let app: axum::Router = axum::Router::new()
//!     .nest_service("/admin", admin)
//!     .route_service("/ws", gateway);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without a guard there is no service, so a page that is open to all doesn't compile:
//!
//! ```compile_fail
//! # use realtime::admin::Admin;
//! # let gateway = realtime::builder().build().unwrap();
//! let app: axum::Router = axum::Router::new().nest_service("/admin", Admin::of(&gateway));
//! ```

mod admin;
mod api;
mod guard;
mod page;
mod socket;

pub use admin::{Admin, Unguarded};
