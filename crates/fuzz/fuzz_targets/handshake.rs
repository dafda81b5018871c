//! The keys of the opening handshake: what a client makes is valid and nothing else is.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use libfuzzer_sys::fuzz_target;
use realtime_websocket::handshake::{accept_key, client_key, is_valid_key};

fuzz_target!(|input: ([u8; 16], Vec<u8>)| {
    let (nonce, free) = input;
    let key = client_key(nonce);
    assert!(is_valid_key(key.as_bytes()));
    for key in [key.as_bytes(), &free] {
        let nonce: Option<[u8; 16]> = STANDARD.decode(key).ok().and_then(|n| n.try_into().ok());
        let is_a_clients = nonce.is_some_and(|nonce| client_key(nonce).as_bytes() == key);
        assert_eq!(is_valid_key(key), is_a_clients, "{}", key.escape_ascii());
        let accept = STANDARD.decode(accept_key(key)).expect("base64");
        assert_eq!(accept.len(), 20);
    }
});
