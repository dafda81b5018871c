//! The declaration of a message from the server.

use std::{fmt, marker::PhantomData};

use realtime_core::{Message, codec::CodecError};
use realtime_gateway::{Audience, DeliverError, Delivery, Gateway, SendError, Session};
use serde::Serialize;

use crate::request::Written;

/// A route on which clients hear something, and the type of what they hear. `()` says that there is
/// no data.
///
/// It is a constant, and the only place where the route's name stands.
///
/// ```
/// use realtime::{Gateway, contract::Event, error::DeliverError};
/// use schemars::JsonSchema;
/// use serde::Serialize;
///
/// #[derive(Serialize, JsonSchema)]
/// struct Line {
///     text: String,
/// }
///
/// const LINE: Event<Line> = Event::new("line").summary("Somebody has said something.");
///
/// async fn say(gateway: &Gateway, text: String) -> Result<(), DeliverError> {
///     LINE.send(gateway.room("lobby"), &Line { text }).await?;
///     Ok(())
/// }
/// # use realtime::Identity;
/// # use realtime_testkit::memory::connect;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let gateway = realtime::builder().build()?;
/// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
/// # ann.session(&gateway).ok_or("")?.join("lobby").await?;
/// # say(&gateway, "hello".to_owned()).await?;
/// # let line = ann.receive_on("line").await?.decode::<serde_json::Value>()?;
/// # assert_eq!(line, serde_json::json!({"text": "hello"}));
/// # Ok(())
/// # }
/// ```
pub struct Event<T> {
    route: &'static str,
    summary: &'static str,
    data: PhantomData<fn(T)>,
}

impl<T> Event<T> {
    /// Declares it. What a route may be is checked when the document is made.
    #[must_use]
    pub const fn new(route: &'static str) -> Self {
        let (summary, data) = ("", PhantomData);
        Self {
            route,
            summary,
            data,
        }
    }

    /// One sentence for the document.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The route: for `RoomRule::publish` and `announce`, and for what is read from a history.
    #[must_use]
    pub const fn route(&self) -> &'static str {
        self.route
    }

    pub(crate) const fn summary_text(&self) -> &'static str {
        self.summary
    }
}

impl<T: Serialize + 'static> Event<T> {
    /// Sends it to an audience, as [`Audience::send`] does.
    ///
    /// # Cancel safety
    /// That of [`Audience::send`].
    ///
    /// # Errors
    /// Those of [`Audience::send`].
    pub async fn send(&self, to: Audience<'_>, data: &T) -> Result<Delivery, DeliverError> {
        to.send_message(self.message(data)?).await
    }

    /// Sends it to everybody, as [`Gateway::broadcast`] does.
    ///
    /// # Cancel safety
    /// That of [`Gateway::broadcast`].
    ///
    /// # Errors
    /// Those of [`Gateway::broadcast`].
    pub async fn broadcast(&self, gateway: &Gateway, data: &T) -> Result<Delivery, DeliverError> {
        gateway.broadcast(self.route, Written(data)).await
    }

    /// Sends it to one session of this node, as [`Session::send`] does.
    ///
    /// # Errors
    /// Those of [`Session::send`].
    pub fn send_to(&self, session: &Session, data: &T) -> Result<(), SendError> {
        session.send(self.route, Written(data))
    }

    /// The message, for every other way of sending it.
    ///
    /// # Errors
    /// When the data can't be serialised.
    pub fn message(&self, data: &T) -> Result<Message, CodecError> {
        Message::new(self.route, Written(data))
    }
}

impl<T> Clone for Event<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Event<T> {}

impl<T> fmt::Debug for Event<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.route).finish()
    }
}
