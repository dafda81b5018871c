use realtime::debug_handler;

#[debug_handler]
async fn json(_data: axum::Json<String>) {}

#[debug_handler]
async fn state(_state: axum::extract::State<String>) {}

#[debug_handler]
async fn query(_query: Option<axum::extract::Query<String>>) {}

#[debug_handler]
async fn answer() -> Result<axum::Json<String>, std::fmt::Error> {
    Err(std::fmt::Error)
}

fn main() {}
