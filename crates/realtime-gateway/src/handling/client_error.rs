//! The error that a client receives when its message fails.

use std::{borrow::Cow, error::Error};

use realtime_core::{
    BoxError, ClientError,
    codec::{CodecError, CodecErrorKind},
};

use crate::{
    DeliverError, DeliverErrorKind, HandlerError, HandlerErrorKind, JoinError, JoinErrorKind,
    RequestError, SendError, SendErrorKind,
    guarded::{Whose, caught},
    metrics::Outcome,
};

/// How many bytes of serde's words a client is told.
const LONGEST_DETAIL: usize = 512;

/// What the client is told of a message that the gateway itself couldn't handle for what it is.
#[derive(Debug, thiserror::Error)]
#[error("the client has made a mistake")]
pub(crate) struct Mistake(#[source] pub(crate) ClientError);

/// What the client is told of a message that could not be handled because something of the server's
/// is away. Why it is, is for the server alone.
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
pub(crate) struct Unavailable {
    said: ClientError,
    source: Option<BoxError>,
}

impl Unavailable {
    /// In these words.
    pub(crate) fn new(said: &'static str) -> Self {
        Self {
            said: ClientError::new("unavailable", said).temporary(),
            source: None,
        }
    }

    /// For this reason.
    pub(crate) fn because(mut self, cause: impl Into<BoxError>) -> Self {
        self.source = Some(cause.into());
        self
    }
}

/// Finds what may be said. Everything that isn't meant for clients becomes a general text.
pub(crate) fn for_client(error: &BoxError) -> ClientError {
    match meant(error) {
        Some(Meant::Said(said)) => return said.clone(),
        Some(Meant::NotAnswered) => {
            let text = "somebody who was asked did not answer as expected";
            return ClientError::new("not_answered", text).temporary();
        }
        None => {}
    }
    if let Some(codec) = find::<CodecError>(error) {
        match codec.kind() {
            CodecErrorKind::Decode => {
                return ClientError::new(
                    "bad_data",
                    "the data does not fit what the route expects",
                );
            }
            CodecErrorKind::Malformed => {
                return ClientError::new("malformed", "the message is not a valid envelope");
            }
            _ => {}
        }
    }
    match find::<JoinError>(error).map(JoinError::kind) {
        Some(JoinErrorKind::TooManyRooms) => {
            return ClientError::new("too_many_rooms", "leave a room before you join another");
        }
        Some(JoinErrorKind::InvalidRoom) => {
            return ClientError::new("bad_data", "the name of a room is 1 to 256 bytes");
        }
        Some(JoinErrorKind::Broker | JoinErrorKind::History | JoinErrorKind::NodeFull) => {
            let text = "the room can't be joined now; try again";
            return ClientError::new("unavailable", text).temporary();
        }
        _ => {}
    }
    if find::<DeliverError>(error).is_some_and(|error| error.kind() == DeliverErrorKind::History) {
        let text = "the room can't keep the message now; try again";
        return ClientError::new("unavailable", text).temporary();
    }
    match find::<HandlerError>(error).map(HandlerError::kind) {
        Some(HandlerErrorKind::UnknownRoute) => {
            ClientError::new("unknown_route", "no handler is registered for the route")
        }
        Some(HandlerErrorKind::Rejected) => ClientError::new(
            "bad_request",
            "the message lacks something that the route needs",
        ),
        Some(HandlerErrorKind::TimedOut) => {
            ClientError::new("timeout", "the request took too long").temporary()
        }
        Some(HandlerErrorKind::Unanswered) => ClientError::new(
            "unanswered",
            "the server has left the request without an answer",
        ),
        _ => ClientError::new("internal", "the server could not handle the message"),
    }
}

/// The same, with serde's own words of data that doesn't fit: which field is missing, say. They may
/// quote the data, which is this client's.
pub(crate) fn for_client_in_detail(error: &BoxError) -> ClientError {
    let told = for_client(error);
    let is_decoding = |codec: &&CodecError| codec.kind() == CodecErrorKind::Decode;
    let unread = find::<CodecError>(error).filter(is_decoding);
    let reason = unread
        .filter(|_| meant(error).is_none())
        .and_then(Error::source);
    let words = reason.and_then(|reason| caught(Whose::Codec, || reason.to_string()).ok());
    match words {
        Some(mut words) => {
            let mut fits = (0..=LONGEST_DETAIL.min(words.len())).rev();
            let end = fits.find(|end| words.is_char_boundary(*end));
            words.truncate(end.unwrap_or_default());
            ClientError::new(
                told.code().to_owned(),
                format!("{}: {words}", told.message()),
            )
        }
        None => told,
    }
}

/// Whether it is our fault, and how a trace calls it: as its client does, where that is a word of the
/// gateway's. A handler's code may be another client's, and there is no end of those.
pub(crate) fn for_trace(error: &BoxError, panicked: bool) -> (bool, Cow<'static, str>) {
    if panicked {
        return (true, "panic".into());
    }
    let is_theirs = is_mistake(error) || is_clients(error);
    let is_said = matches!(meant(error), Some(Meant::Said(_)));
    let is_gateways = find::<Mistake>(error).is_some() || find::<Unavailable>(error).is_some();
    let word = match is_said && !is_gateways {
        true => Cow::Borrowed("refused"),
        false => Cow::Owned(for_client(error).code().to_owned()),
    };
    (!is_theirs, word)
}

/// How a message's handling ended, for who counts it.
pub(crate) fn outcome<T>(result: &Result<T, BoxError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Ok,
        Err(error) if is_clients(error) => Outcome::Refused,
        Err(_) => Outcome::Failed,
    }
}

/// Whether clients are to blame for an error, and not the server: this one has sent what it may
/// not, the handler has answered it with a [`ClientError`], or one to whom something was sent has
/// left or doesn't read. What the gateway says of its own outages is no such answer.
pub(crate) fn is_clients(error: &BoxError) -> bool {
    find::<Unavailable>(error).is_none()
        && (is_mistake(error) || meant(error).is_some() || is_out_of_reach(error))
}

fn is_out_of_reach(error: &BoxError) -> bool {
    let sent = find::<SendError>(error).map(SendError::kind);
    let delivered = find::<DeliverError>(error).map(DeliverError::kind);
    matches!(
        sent,
        Some(SendErrorKind::Backpressure | SendErrorKind::SessionClosed)
    ) || delivered == Some(DeliverErrorKind::NotOnline)
        || matches!(
            find::<JoinError>(error).map(JoinError::kind),
            Some(
                JoinErrorKind::TooManyRooms
                    | JoinErrorKind::InvalidRoom
                    | JoinErrorKind::SessionClosed
            )
        )
}

/// Whether a message could not be handled for what it is, whatever the application does.
pub(crate) fn is_mistake(error: &BoxError) -> bool {
    if find::<Mistake>(error).is_some() {
        return true;
    }
    if meant(error).is_some() {
        return false;
    }
    let unread = find::<CodecError>(error).is_some_and(|codec| {
        matches!(
            codec.kind(),
            CodecErrorKind::Decode | CodecErrorKind::Malformed
        )
    });
    unread
        || find::<HandlerError>(error)
            .is_some_and(|error| error.kind() == HandlerErrorKind::UnknownRoute)
}

/// What an error says of clients.
enum Meant<'e> {
    /// A word of a handler's, or of the gateway's, for this client.
    Said(&'e ClientError),
    /// A client was asked something by the server. What it has refused with is for the handler, and
    /// nobody else's client learns it.
    NotAnswered,
}

fn meant(error: &BoxError) -> Option<Meant<'_>> {
    ClientError::__causes(&**error).find_map(|link| match link.downcast_ref() {
        Some(said) => Some(Meant::Said(said)),
        None => match link.downcast_ref::<Unavailable>() {
            Some(Unavailable { said, .. }) => Some(Meant::Said(said)),
            None => link
                .downcast_ref::<RequestError>()
                .map(|_| Meant::NotAnswered),
        },
    })
}

fn find<T: Error + 'static>(error: &BoxError) -> Option<&T> {
    ClientError::__causes(&**error).find_map(|link| link.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_for_clients_is_sent_to_them() {
        let secret: BoxError = "the password of the database is hunter2".into();
        let received = for_client(&secret);
        assert_eq!(received.code(), "internal");
        assert!(!received.message().contains("hunter2"));

        let wrapped: BoxError = HandlerError::new(HandlerErrorKind::Rejected, "outer")
            .with_source(ClientError::new("full", "no place left").temporary())
            .into();
        assert_eq!(
            for_client(&wrapped),
            ClientError::new("full", "no place left").temporary()
        );

        assert!(!is_mistake(&wrapped) && is_clients(&wrapped));
        assert!(!is_mistake(&secret) && !is_clients(&secret));

        let decode: BoxError = HandlerError::new(HandlerErrorKind::Rejected, "outer")
            .with_source(CodecError::new(CodecErrorKind::Decode, "inner"))
            .into();
        assert_eq!(for_client(&decode).code(), "bad_data");
        assert!(is_mistake(&decode) && is_clients(&decode));

        let not_kept: BoxError = HandlerError::new(HandlerErrorKind::Failed, "outer")
            .with_source(DeliverError::new(
                DeliverErrorKind::History,
                "inner",
                crate::Delivery::none(),
            ))
            .into();
        let received = for_client(&not_kept);
        assert!(received.code() == "unavailable" && received.is_temporary());

        // Another client's words.
        let refused = ClientError::new("session_expired", "log in at evil.example");
        let refused: BoxError = HandlerError::new(HandlerErrorKind::Failed, "outer")
            .with_source(
                RequestError::new(crate::RequestErrorKind::Refused, "inner").with_source(refused),
            )
            .into();
        assert_eq!(for_client(&refused).code(), "not_answered");
        assert!(!is_mistake(&refused) && is_clients(&refused));

        let again = ClientError::new("too_many_requests", "not so often");
        let again: BoxError = Mistake(again).into();
        assert_eq!(for_client(&again).code(), "too_many_requests");
        assert!(is_mistake(&again) && is_clients(&again));

        let of_the_store = ClientError::new("moved", "to 10.0.0.7");
        let away: BoxError = Unavailable::new("try again").because(of_the_store).into();
        let received = ClientError::new("unavailable", "try again").temporary();
        assert_eq!(for_client(&away), received);
        assert_eq!(for_client_in_detail(&away), received);
        assert!(!is_mistake(&away) && !is_clients(&away));
        assert_eq!(
            for_trace(&away, false),
            (true, Cow::Borrowed("unavailable"))
        );
        assert_eq!(outcome::<()>(&Err(away)), Outcome::Failed);

        let missing: BoxError = HandlerError::new(HandlerErrorKind::Rejected, "outer")
            .with_source(std::fmt::Error)
            .into();
        assert_eq!(for_client(&missing).code(), "bad_request");
        assert!(!is_mistake(&missing) && !is_clients(&missing));
        assert_eq!(outcome::<()>(&Err(missing)), Outcome::Failed);
        assert_eq!(outcome::<()>(&Err(again)), Outcome::Refused);
    }
}
