use realtime::debug_handler;

#[debug_handler]
fn handler() {}

fn main() {}
