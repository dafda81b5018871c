use realtime::{Json, debug_handler};

#[debug_handler]
async fn parameter<T>(_data: Json<T>) {}

#[debug_handler]
async fn implied(_data: impl Send) {}

struct App;

impl App {
    #[debug_handler]
    async fn method(&self) {}
}

#[debug_handler]
struct NotAFunction;

fn main() {}
