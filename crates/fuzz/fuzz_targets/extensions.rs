//! Headers with extensions: nothing is too strange to be looked at, and what a server answers is
//! something that a client which wants nothing of it can accept, and sees as the server does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use realtime_websocket::deflate::{Policy, Window};

fuzz_target!(|input: (bool, bool, u8, u8, Vec<Vec<u8>>)| {
    let (send, receive, ours, theirs, headers) = input;
    let window = |bits: u8| Window::new(9 + bits % 7).expect("9 to 15");
    let server = Policy::default()
        .with_send_takeover(send)
        .with_receive_takeover(receive)
        .with_send_window(window(ours))
        .with_receive_window(window(theirs));
    let client = Policy::default()
        .with_send_takeover(true)
        .with_receive_takeover(true);
    let headers = || headers.iter().map(Vec::as_slice);
    let _either = client.accept(headers());
    if let Some(answer) = server.answer(headers()) {
        let agreed = answer.agreed();
        let accepted = client.accept([answer.header().as_bytes()]);
        let accepted = accepted.expect("it is an answer").expect("that accepts");
        assert_eq!(agreed.send, Some(accepted.receive));
        assert_eq!(
            accepted.send.map_or(Window::MIN, |flow| flow.window),
            agreed.receive.window
        );
        assert!(receive || !agreed.receive.takeover);
        assert!(send || accepted.receive.window <= window(ours) && !accepted.receive.takeover);
    }
});
