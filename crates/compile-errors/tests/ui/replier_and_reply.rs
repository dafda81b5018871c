use realtime::{
    Json, Router,
    extract::Replier,
    handler::check_no_reply,
};

async fn handler(_replier: Replier) -> Json<u8> {
    Json(1)
}

fn main() {
    let _router: Router = Router::new().route("r", handler);
    check_no_reply::<Json<u8>>();
}
