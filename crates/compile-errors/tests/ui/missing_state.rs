use realtime::{Router, State};

async fn handler(State(_name): State<String>) {}

fn main() {
    let router = Router::new().route("r", handler);
    let _builder = realtime::builder().router(router);
}
