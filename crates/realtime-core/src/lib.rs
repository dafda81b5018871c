//! The contract of the `realtime` gateway: traits, values, errors and in-process backends.
//!
//! Depend on this crate to write a backend: a broker, a presence store, a codec or an
//! authenticator. Depend on the facade crate `realtime` to write a server.
//!
//! ```text
//!            Authenticator        Codec             Broker             Presence
//!  request ──► Identity    frame ◄──► Message   bytes ◄──► nodes   sessions ◄──► store
//!            (who is it?)      (envelope)        (fan-out)         (who is online?)
//!
//!              History               Revocations
//!    rooms ◄──► streams    identity ──► store
//!          (what was missed?)      (no longer believed?)
//! ```
//!
//! Each seam is one small trait, and each trait has an erased, cheap-to-clone twin
//! ([`AnyAuthenticator`](auth::AnyAuthenticator), [`AnyBroker`](broker::AnyBroker),
//! [`AnyPresence`](presence::AnyPresence), [`AnyHistory`](history::AnyHistory),
//! [`AnyRevocations`](revocation::AnyRevocations)) that the gateway holds, so that an implementer writes
//! plain `async fn` and a user never sees a type parameter. Each method of a trait documents its
//! behavior as a list; the crate `realtime-testkit` has one conformance test for each bullet.
//!
//! What is here:
//! - [`Message`], [`Payload`], [`Text`], [`RawJson`]: what travels;
//! - [`Identity`], [`IdentityKey`], [`SessionId`], [`NodeId`]: who takes part;
//! - [`CloseCode`], [`DisconnectInfo`], [`Initiator`]: how a session ended;
//! - [`Events`], [`Causes`], [`Pause`]: how a backend reports what happens to it, each cause once, and
//!   how long it waits before it tries again; [`patient`], [`patient_until`]: how it waits for an answer;
//! - [`log_targets`]: the names under which everything is logged;
//! - [`extract`]: what a codec crate needs to offer extractors and replies of its own;
//! - [`CredentialProvider`]: what a backend shows its server, asked for again whenever it connects;
//! - `ServerUrl`, with the feature `server-url`: where a backend's server is;
//! - [`traces`]: what ties spans of `tracing` to traces that cross processes;
//! - [`auth`], [`broker`], [`codec`], [`history`], [`presence`], [`revocation`]: the six seams.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod auth;
pub mod broker;
mod causes;
mod close;
pub mod codec;
mod credential_provider;
pub mod dialect;
mod error;
mod events;
pub mod extract;
pub mod history;
mod id;
mod identity;
pub mod log_targets;
mod message;
mod message_id;
mod namespace;
mod patience;
mod pause;
mod payload;
pub mod presence;
mod raw_json;
pub mod revocation;
mod room;
#[cfg(feature = "server-url")]
mod server_url;
mod text;
mod timestamp;
pub mod traces;

pub use causes::Causes;
pub use close::{CloseCode, DisconnectInfo, Initiator, InvalidCloseCode};
pub use credential_provider::{
    AnyCredentialProvider, CredentialProvider, NoCredentials, ServerCredentials,
};
pub use error::{BoxError, ClientError};
pub use events::{Event, Events};
pub use id::{Incarnation, InvalidNodeId, NodeId, SessionId};
pub use identity::{Identity, IdentityKey, IdentityUpdate};
pub use message::{Exchange, Message, MessageParts, Metadata};
pub use message_id::MessageId;
pub use namespace::{InvalidNamespace, Namespace};
pub use patience::{patient, patient_until};
pub use pause::Pause;
pub use payload::{IntoPayload, Payload, PayloadKind};
pub use raw_json::RawJson;
pub use room::{InvalidRoomName, RoomName};
#[cfg(feature = "server-url")]
#[cfg_attr(docsrs, doc(cfg(feature = "server-url")))]
pub use server_url::{InvalidServerUrl, ServerUrl};
pub use text::Text;
