//! The gateway as an argument of handlers and hooks.

use realtime_core::extract::FromContext;

use super::{Gateway, Handle};
use crate::extract::{HasGateway, Missing};

impl<Cx: HasGateway> FromContext<Cx> for Gateway {
    type Rejection = Missing;

    fn from_context(cx: &Cx) -> Result<Self, Missing> {
        let handle = cx.host().get::<Handle>();
        handle.map(Self).ok_or(Missing::gateway())
    }
}
