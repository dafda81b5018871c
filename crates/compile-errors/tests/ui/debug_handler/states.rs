use realtime::{State, debug_handler};

#[debug_handler]
async fn two(_one: State<u8>, _other: State<String>) {}

#[debug_handler(state = u8)]
async fn another(_state: State<String>) {}

#[debug_handler(router = u8)]
async fn misspelt() {}

fn main() {}
