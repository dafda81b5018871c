//! A handler answers something else than the request is declared with.

use realtime::{
    Json, Router,
    contract::{Request, RouterExt},
};

const ADD: Request<Vec<u32>, u32> = Request::new("add");

async fn add(Json(numbers): Json<Vec<u32>>) -> Json<String> {
    Json(format!("{numbers:?}"))
}

fn main() {
    let _router: Router = Router::new().handle(ADD, add);
}
