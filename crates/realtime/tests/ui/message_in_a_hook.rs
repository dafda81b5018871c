use realtime::{Message, gateway};

async fn hook(_message: Message) {}

fn main() {
    let _builder = gateway().on_connect(hook);
}
