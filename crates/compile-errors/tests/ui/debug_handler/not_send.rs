use std::rc::Rc;

use realtime::debug_handler;

#[debug_handler]
async fn handler() {
    let here = Rc::new(1);
    std::future::ready(()).await;
    drop(here);
}

fn main() {}
