//! A handler doesn't take what clients send.

use realtime::{
    Json, Router, Session,
    contract::{Request, RouterExt},
};

const COUNT: Request<String, u32> = Request::new("count");

async fn count(_: Session) -> Json<u32> {
    Json(7)
}

fn main() {
    let _router: Router = Router::new().handle(COUNT, count);
}
