use realtime::{Json, Router, extract::Replier};

async fn handler(Json(_data): Json<u8>, _replier: Replier) {}

fn main() {
    let _router: Router = Router::new().route("r", handler);
}
