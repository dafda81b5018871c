//! The rules of a session's rooms are asked again, once its roles or claims have changed.
//!
//! Who has asked for the change may stop waiting, and what was changed stays changed: so it is asked
//! in a task of the node's, and until it is done the session knows that there is something to be
//! asked.

use std::sync::Arc;

use realtime_core::{Message, Payload, RoomName, Text, codec::Notice};

use crate::{
    ErrorStage, Inbound, Session,
    extract::{ALL, MessageContext},
    guarded::{Whose, guarded},
    handling::{RoomTable, client_error},
    node::Node,
    session::Living,
};

/// Asks until they have been asked about the identity as it is. Where somebody asks already, that one
/// goes on, and this returns. Cancel safe: what was begun goes on.
pub(super) async fn ask_again(node: &Arc<Node>, session: &Session) {
    if !session.living().is_some_and(Living::begin_asking) {
        return;
    }
    let asking = Asking {
        session: session.clone(),
        is_done: false,
    };
    let (stop, this) = (node.stop.clone(), Arc::clone(node));
    let asking = async move {
        let asked = stop.run_until_cancelled(ask(&this, &asking.session)).await;
        asking.end(asked.is_some());
    };
    // It panics in nobody's way: rules are called so that they can't.
    let _ended = node.background.spawn(asking).await;
}

/// Lets another one ask, where this one comes to no end.
struct Asking {
    session: Session,
    is_done: bool,
}

impl Asking {
    fn end(mut self, is_done: bool) {
        self.is_done = is_done;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(living) = self.session.living().filter(|_| !self.is_done) {
            living.end_asking();
        }
    }
}

/// A session has become a member of a room while its identity changed.
pub(super) async fn ask_anew(node: &Arc<Node>, session: &Session) {
    if let Some(living) = session.living() {
        living.ask_anew();
        ask_again(node, session).await;
    }
}

async fn ask(node: &Node, session: &Session) {
    let Some(living) = session.living() else {
        return;
    };
    while let Some(change) = living.to_be_asked() {
        for room in session.rooms() {
            if session.is_closed() {
                return;
            }
            // What is asked about an identity that has changed meanwhile counts for nobody.
            let may_stay = may_stay(node, session, &room).await;
            if !may_stay && living.changes() == change && session.leave(room.clone()) {
                tell_removed(node, session, &room);
            }
        }
        living.has_asked(change);
    }
}

/// A rule that fails to answer keeps nobody in: what it would have said isn't known.
async fn may_stay(node: &Node, session: &Session, room: &RoomName) -> bool {
    let Some((allow, params)) = node.room_table.asked_again(room) else {
        return true;
    };
    let named = serde_json::json!({"room": RoomTable::shown(room).as_str()});
    let Ok(data) = Payload::json(&named) else {
        return false;
    };
    let message = Message::plain(None, Text::from_static("join"), data);
    let cx = MessageContext {
        inbound: Inbound::new(session.clone(), message),
        host: node.host(),
        used: ALL,
        params: Some(params),
        state: (),
    };
    let asked = async { allow(cx).await };
    match guarded(Whose::Handler, node.config.hook_timeout, asked).await {
        Ok(Ok(_allowed)) => true,
        Ok(Err(error)) => {
            if !client_error::is_clients(&error) {
                node.report(ErrorStage::Message, error, Some(session.clone()));
            }
            false
        }
        Err(broken) => {
            node.report(ErrorStage::Message, broken, Some(session.clone()));
            false
        }
    }
}

/// Tells a client that it is no longer in a room.
pub(crate) fn tell_removed(node: &Node, session: &Session, room: &RoomName) {
    let room = &RoomTable::shown(room);
    if let Err(error) = session.tell(&Notice::Removed { room }) {
        node.report(ErrorStage::Message, error, Some(session.clone()));
    }
}
