//! A handler reads data where the request is declared with none.

use realtime::{
    Json, Router, Session,
    contract::{Request, RouterExt},
};

const OPEN: Request<(), bool> = Request::new("open");

async fn open(_: Session, Json(_): Json<String>) -> Json<bool> {
    Json(true)
}

fn main() {
    let _router: Router = Router::new().handle(OPEN, open);
}
