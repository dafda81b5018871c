use realtime::{Router, Session};

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

fn main() {
    let _router: Router = Router::new().route("r", handler);
}
