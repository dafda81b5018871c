//! A handler fails with something else than the request declares.

use realtime::{
    ClientError, Json, Router,
    contract::{Refusal, Request, RouterExt},
};

#[derive(Debug, thiserror::Error, serde::Serialize, schemars::JsonSchema)]
#[serde(tag = "code")]
enum NotAdded {
    #[error("too many")]
    TooMany,
}

impl Refusal for NotAdded {}

const ADD: Request<Vec<u32>, u32, NotAdded> = Request::new("add");

async fn add(Json(_): Json<Vec<u32>>) -> Result<Json<u32>, ClientError> {
    let _ = NotAdded::TooMany;
    Err(ClientError::new("too_few", "give more"))
}

fn main() {
    let _router: Router = Router::new().handle(ADD, add);
}
