use realtime::Message;

async fn hook(_message: Message) {}

fn main() {
    let _builder = realtime::builder().on_connect(hook);
}
