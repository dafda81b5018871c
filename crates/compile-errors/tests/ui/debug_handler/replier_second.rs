use realtime::{Json, debug_handler, extract::Replier};

#[debug_handler]
async fn handler(_data: Json<u8>, _replier: Replier) {}

fn main() {}
