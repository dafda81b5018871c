use realtime::admin::Admin;

fn main() {
    let gateway = realtime::builder().build().unwrap();
    let _app: axum::Router = axum::Router::new().nest_service("/admin", Admin::of(&gateway));
}
