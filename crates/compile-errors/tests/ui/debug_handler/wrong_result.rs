use realtime::{debug_handler, extract::Replier};

#[debug_handler]
async fn handler() -> u8 {
    1
}

#[debug_handler]
async fn later(_replier: Replier) -> Result<u8, std::fmt::Error> {
    Ok(1)
}

fn main() {}
