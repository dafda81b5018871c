fn main() {
    let _builder = realtime::builder().router(axum::Router::<()>::new());
}
