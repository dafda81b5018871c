use realtime::{Session, debug_handler};

#[debug_handler]
async fn handler(
    _1: Session,
    _2: Session,
    _3: Session,
    _4: Session,
    _5: Session,
    _6: Session,
    _7: Session,
    _8: Session,
    _9: Session,
) {
}

fn main() {}
