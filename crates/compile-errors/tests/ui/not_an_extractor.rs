use realtime::Router;

async fn handler(_text: String) {}

fn main() {
    let _router: Router = Router::new().route("r", handler);
}
