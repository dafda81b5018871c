use axum::Json;
use realtime::Router;

async fn handler(Json(_data): Json<String>) {}

fn main() {
    let _router: Router = Router::new().route("r", handler);
}
