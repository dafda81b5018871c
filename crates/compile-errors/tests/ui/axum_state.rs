use axum::extract::State;
use realtime::Router;

async fn handler(State(_name): State<String>) {}

fn main() {
    let _router: Router = Router::new().route("r", handler).with_state(String::new());
}
