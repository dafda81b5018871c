//! A handler reads the data in another form before the declared one.

use realtime::{
    Json, Router,
    contract::{Request, RouterExt},
};

const ADD: Request<Vec<u32>, u32> = Request::new("add");

async fn add(Json(_): Json<String>, Json(numbers): Json<Vec<u32>>) -> Json<u32> {
    Json(numbers.len() as u32)
}

fn main() {
    let _router: Router = Router::new().handle(ADD, add);
}
