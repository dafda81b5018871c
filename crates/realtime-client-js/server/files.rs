//! What pages of the tests are made of: an empty document, the client and the scenarios, as they
//! are on the disk.

use std::path::{Path, PathBuf};

use axum::{
    Router, extract,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};

pub(crate) fn router() -> Router {
    Router::new()
        .route(
            "/",
            get(async || Html("<!doctype html><title>client</title><div id=root></div>")),
        )
        .route("/file/{*path}", get(file))
}

async fn file(extract::Path(path): extract::Path<String>) -> Result<Response, StatusCode> {
    let folders = ["bundle/", "dist/", "tests/"];
    let is_ours = folders.iter().any(|folder| path.starts_with(folder));
    if !is_ours || path.contains("..") {
        return Err(StatusCode::NOT_FOUND);
    }
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(path).map_err(|_| StatusCode::NOT_FOUND)?;
    let kind = (header::CONTENT_TYPE, "text/javascript; charset=utf-8");
    Ok(([kind], text).into_response())
}
