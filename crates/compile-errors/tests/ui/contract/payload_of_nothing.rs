//! A handler reads the bytes of data where the request is declared with none.

use realtime::{
    Json, Payload, Router,
    contract::{Request, RouterExt},
};

const OPEN: Request<(), bool> = Request::new("open");

async fn open(data: Payload) -> Json<bool> {
    Json(data.is_empty())
}

fn main() {
    let _router: Router = Router::new().handle(OPEN, open);
}
