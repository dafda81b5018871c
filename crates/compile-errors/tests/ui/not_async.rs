use realtime::Router;

fn handler() {}

fn main() {
    let _router: Router = Router::new().route("r", handler);
}
