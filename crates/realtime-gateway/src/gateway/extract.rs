//! The gateway as an argument of handlers and hooks.

use realtime_core::extract::FromMessage;

use super::{Gateway, Handle};
use crate::extract::{HasGateway, Missing};

impl<Cx: HasGateway> FromMessage<Cx> for Gateway {
    type Rejection = Missing;

    fn from_message(cx: &Cx) -> Result<Self, Missing> {
        let handle = cx.host().get::<Handle>();
        handle.map(Self).ok_or(Missing::gateway())
    }
}
