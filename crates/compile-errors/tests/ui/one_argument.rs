use realtime::handler::{check_argument, check_result};

struct App;

fn main() {
    check_argument::<axum::extract::State<App>, App>();
    check_argument::<realtime::State<u8>, App>();
    check_argument::<String, ()>();
    check_result::<String>();
}
