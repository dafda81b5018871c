//! `realtime listen`: what is said in rooms, or to everybody.

use futures::{
    StreamExt,
    stream::{FuturesUnordered, SelectAll},
};
use realtime_client::{Client, Incoming, Membership, RequestError, RoomEvent, State};

use crate::{args::ListenArgs, failure::Failure, output, signals};

pub(crate) async fn run(args: ListenArgs) -> Result<(), Failure> {
    let mut ended = std::pin::pin!(signals::ended()?);
    let client = args.server.client()?.connect()?;
    let mut messages = client.messages();
    let mut state = client.state();
    let joins = args.rooms.into_iter().map(|name| join(&client, name));
    let mut joins: FuturesUnordered<_> = joins.collect();
    let mut rooms = SelectAll::new();
    loop {
        tokio::select! {
            // What has come is printed before the end is told, unless somebody wants to end it.
            biased;
            () = &mut ended => break,
            Some(joined) = joins.next() => {
                let Some((name, room)) = joined? else {
                    return Err(client.ended().await.into());
                };
                eprintln!("realtime: joined {name}");
                rooms.push(room.map(move |event| (name.clone(), event)));
            }
            Some(incoming) = messages.next() => match incoming {
                Incoming::Message(message) => output::print(&message)?,
                Incoming::Dropped(count) => eprintln!("realtime: {count} messages came too fast"),
                _ => {}
            },
            Some((name, event)) = rooms.next() => match event {
                RoomEvent::Recovered { missed, .. } => {
                    eprintln!("realtime: back in {name}, with {missed} messages that were missed");
                }
                RoomEvent::Lost => eprintln!("realtime: back in {name}; something was missed"),
                RoomEvent::Removed => return Err(format!("{name}: removed").into()),
                RoomEvent::Refused(refusal) => return Err(format!("{name}: {refusal}").into()),
                // It is among the messages.
                _ => {}
            },
            changed = state.changed() => {
                if changed.is_err() {
                    return Err(client.ended().await.into());
                }
                match &*state.borrow_and_update() {
                    State::Waiting { why, .. } => {
                        eprintln!("realtime: no connection: {why}; trying again");
                    }
                    State::Online => eprintln!("realtime: online"),
                    State::Ended(end) => return Err(end.clone().into()),
                    _ => {}
                }
            }
        }
    }
    client.close().await;
    Ok(())
}

/// Nothing where the client has ended.
async fn join(client: &Client, name: String) -> Result<Option<(String, Membership)>, Failure> {
    match client.room(name.clone()).join().await {
        Ok(room) => Ok(Some((name, room))),
        Err(RequestError::Ended) => Ok(None),
        Err(error) => Err(format!("{name}: {}", Failure::from(error)).into()),
    }
}
