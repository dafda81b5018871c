use realtime::{Router, State, gateway};

async fn handler(State(_name): State<String>) {}

fn main() {
    let router = Router::new().route("r", handler);
    let _builder = gateway().router(router);
}
