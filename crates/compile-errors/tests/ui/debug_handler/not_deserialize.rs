use realtime::{Json, debug_handler};

struct Move;

#[debug_handler]
async fn handler(_move: Json<Move>) {}

fn main() {}
