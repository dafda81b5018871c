//! What is sent is of another type than the event.

use realtime::{Gateway, contract::Event};

const LINE: Event<String> = Event::new("line");

async fn tell(gateway: Gateway) {
    let _ = LINE.broadcast(&gateway, &7).await;
}

fn main() {
    let _ = tell;
}
