use realtime::{Session, debug_handler};

#[debug_handler]
async fn handler(_session: Session, _text: String) {}

fn main() {}
