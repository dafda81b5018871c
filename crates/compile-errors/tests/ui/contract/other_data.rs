//! A handler takes something else than the request is declared with.

use realtime::{
    Json, Router, Session,
    contract::{Request, RouterExt},
};

const ADD: Request<Vec<u32>, u32> = Request::new("add");

async fn add(_: Session, Json(numbers): Json<Vec<String>>) -> Json<u32> {
    Json(numbers.len() as u32)
}

fn main() {
    let _router: Router = Router::new().handle(ADD, add);
}
