use realtime::{Router, State};

async fn handler(State(_name): State<String>) {}

fn main() {
    let _router: Router = Router::new().route("r", handler).with_state(7u8);
}
