//! What was added: an order's page changes with the order.
//!
//! Each order has a room. Whom the API shows the order to may come in, and who was away for a moment
//! gets what was sent meanwhile.

use std::{error::Error, time::Duration};

use axum::response::{IntoResponse, Response};
use realtime::{
    ClientError, Gateway, Identity, Json, Router, State, Upgrade, extract::RoomParam,
    history::Retention, revocation::Revocation, room::RoomRule,
};

use crate::{
    Shop,
    login::{Login, User},
    orders::{Order, Orders},
};

const STAFF: &str = "staff";

pub(crate) fn gateway(orders: Orders) -> Result<Gateway, Box<dyn Error>> {
    let rule = RoomRule::allow(may_see).history(Retention::new(20, Duration::from_secs(3600))?);
    let router = Router::new().room("order:{id}", rule).with_state(orders);
    // A cookie can't be shown anew on a connection, so that ends with the login.
    let builder = realtime::builder().expiry_notice(None).expiry_grace(None);
    Ok(builder.router(router).build()?)
}

/// The same login as for every other request. That the page is one of this site is looked at, too.
pub(crate) async fn socket(
    axum::extract::State(shop): axum::extract::State<Shop>,
    login: Login,
    upgrade: Upgrade,
) -> Response {
    let mut who = Identity::new(login.user.name)
        .with_token_id(login.id.to_string())
        .with_expires_at(login.until);
    if login.user.is_staff {
        who = who.with_role(STAFF);
    }
    shop.gateway.accept(upgrade, who).into_response()
}

/// Asked when a page joins, and each time that it comes back.
async fn may_see(
    State(orders): State<Orders>,
    who: Identity,
    RoomParam(id): RoomParam<u64>,
) -> Result<(), ClientError> {
    let user = User::new(who.id(), who.has_role(STAFF));
    let seen = orders.find(&user, id).map(drop);
    seen.ok_or_else(|| ClientError::new("not_found", "There is no such order."))
}

/// The pages of the order get it as it is now.
pub(crate) async fn tell(gateway: &Gateway, order: &Order) {
    let pages = gateway.room(format!("order:{}", order.id));
    if let Err(error) = pages.send("order", Json(order)).await {
        tracing::error!(order.id, %error, "its pages have to be loaded again");
    }
}

/// The sockets of logins end with them.
pub(crate) async fn end(gateway: &Gateway, logins: impl IntoIterator<Item = Login>) {
    for login in logins {
        let ended = Revocation::token(login.id.to_string());
        if let Err(error) = gateway.revoke(ended).await {
            tracing::error!(%error, "the sockets of a login stay for as long as it would");
        }
    }
}
