//! A session belongs to an identity with other roles or claims from here on, and the rules of its
//! rooms are asked again.

use realtime_core::{Identity, Message, RoomName, Text, codec::Notice};

use crate::{
    ErrorStage, Inbound, Session,
    extract::MessageContext,
    guarded::{Whose, guarded},
    handling::RoomTable,
    node::Node,
};

/// Its tenant and id are those of before.
pub(crate) async fn change(node: &Node, session: &Session, identity: Identity) {
    let before = session.identity();
    let is_other = identity.roles() != before.roles() || identity.claims() != before.claims();
    session.set_identity(identity);
    if is_other {
        ask_again(node, session).await;
    }
}

/// Asks the rules of its rooms whether it may still be there, one after the other.
async fn ask_again(node: &Node, session: &Session) {
    for room in session.rooms() {
        if session.is_closed() {
            return;
        }
        if !may_stay(node, session, &room).await {
            session.leave(room.clone());
            tell(node, session, &room);
        }
    }
}

/// A rule that fails to answer keeps nobody in: what it would have said isn't known.
async fn may_stay(node: &Node, session: &Session, room: &RoomName) -> bool {
    let Some((allow, params)) = node.room_table.asked_again(room) else {
        return true;
    };
    let message = Message::plain(None, Text::from_static("join"), Default::default());
    let cx = MessageContext {
        inbound: Inbound::new(session.clone(), message),
        host: node.host(),
        tail: Text::default(),
        params: Some(params),
        state: (),
    };
    let asked = async { allow(cx).await };
    match guarded(Whose::Handler, node.config.hook_timeout, asked).await {
        Ok(Ok(_allowed)) => true,
        Ok(Err(error)) => {
            if !crate::handling::client_error::is_clients(&error) {
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

fn tell(node: &Node, session: &Session, room: &RoomName) {
    let room = &RoomTable::shown(room);
    if let Err(error) = session.tell(&Notice::Removed { room }) {
        node.report(ErrorStage::Message, error, Some(session.clone()));
    }
}
