//! The name of a room and its parameters, as arguments of a rule.

use std::{str::FromStr, sync::Arc};

use realtime_core::{ClientError, RoomName, extract::FromContext};

use crate::{Session, extract::MessageContext};

/// The room that a client wants to be in, and the parameters in its name.
#[derive(Debug, Clone)]
pub(crate) struct Params {
    pub(crate) room: RoomName,
    /// The values of the pattern's parameters, in their order.
    pub(crate) values: Arc<[String]>,
}

/// The parameter of the room's name, read as a `T`: the first one where the pattern has several.
///
/// A name in which it can't be read is refused as an unknown room.
///
/// ```
/// use realtime::{ClientError, Router, Session, extract::RoomParam, room::RoomRule};
///
/// async fn may_follow(session: Session, RoomParam(order): RoomParam<u64>) -> Result<(), ClientError> {
///     if order % 2 == 1 && !session.identity().has_role("staff") {
///         return Err(ClientError::new("forbidden", "this order is somebody else's"));
///     }
///     Ok(())
/// }
///
/// let router: Router = Router::new().room("order:{id}", RoomRule::allow(may_follow));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomParam<T>(pub T);

/// All parameters of the room's name, read as a tuple in their order.
///
/// ```
/// use realtime::{Router, extract::RoomParams, room::RoomRule};
///
/// async fn may_join(RoomParams((team, number)): RoomParams<(String, u32)>) {
///     println!("room {number} of team {team}");
/// }
///
/// let router: Router = Router::new().room("{team}/{number}", RoomRule::allow(may_join));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomParams<T>(pub T);

/// A tuple of parameters, each of which is read from text. Never implement it yourself.
pub trait FromRoomParams: Sized {
    #[doc(hidden)]
    fn from_values(values: &[String]) -> Option<Self>;
}

macro_rules! tuple {
    ($($arg:ident),*) => {
        impl<$($arg: FromStr,)*> FromRoomParams for ($($arg,)*) {
            #[allow(non_snake_case, reason = "one macro for every arity")]
            fn from_values(values: &[String]) -> Option<Self> {
                let mut values = values.iter();
                $(let $arg = values.next()?.parse().ok()?;)*
                values.next().is_none().then_some(($($arg,)*))
            }
        }
    };
}
tuple!(A);
tuple!(A, B);
tuple!(A, B, C);
tuple!(A, B, C, D);

pub(crate) fn unknown_room() -> ClientError {
    ClientError::new("unknown_room", "there is no such room")
}

impl<S, T: FromStr> FromContext<MessageContext<S>> for RoomParam<T> {
    type Rejection = ClientError;

    fn from_context(cx: &MessageContext<S>) -> Result<Self, ClientError> {
        let params = cx.params.as_ref();
        let value = params.and_then(|params| params.values.first()?.parse().ok());
        value.map(Self).ok_or_else(unknown_room)
    }
}

impl<S, T: FromRoomParams> FromContext<MessageContext<S>> for RoomParams<T> {
    type Rejection = ClientError;

    fn from_context(cx: &MessageContext<S>) -> Result<Self, ClientError> {
        let params = cx.params.as_ref();
        let values = params.and_then(|params| T::from_values(&params.values));
        values.map(Self).ok_or_else(unknown_room)
    }
}

/// The room that the rule is asked about.
impl<S> FromContext<MessageContext<S>> for RoomName {
    type Rejection = ClientError;

    fn from_context(cx: &MessageContext<S>) -> Result<Self, ClientError> {
        let params = cx.params.as_ref();
        params
            .map(|params| params.room.clone())
            .ok_or_else(unknown_room)
    }
}

/// Whether a session is a member, for a publication of its own.
pub(super) fn is_member(session: &Session, room: &RoomName) -> bool {
    session.rooms().contains(room)
}
