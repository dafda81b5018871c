use realtime::Json;

async fn hook(Json(_data): Json<String>) {}

fn main() {
    let _builder = realtime::builder().on_disconnect(hook);
}
