use realtime::{Json, gateway};

async fn hook(Json(_data): Json<String>) {}

fn main() {
    let _builder = gateway().on_disconnect(hook);
}
