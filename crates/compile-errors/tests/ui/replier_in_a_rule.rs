use realtime::{Router, extract::Replier, room::RoomRule};

async fn rule(_replier: Replier) {}

fn main() {
    let _router: Router = Router::new().room("r", RoomRule::allow(rule));
}
