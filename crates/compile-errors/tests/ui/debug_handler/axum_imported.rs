use axum::Json;
use realtime::debug_handler;

#[debug_handler]
async fn handler(Json(_data): Json<String>) {}

fn main() {}
