use realtime::Router;

async fn handler() -> u8 {
    1
}

fn main() {
    let _router: Router = Router::new().route("r", handler);
}
