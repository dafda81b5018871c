//! Clients that read in a thread of their own, whatever the runtime under test does.

use std::{
    io::{ErrorKind, Read},
    thread,
};

use realtime_testkit::client::Client;

/// Reads to the end and throws it away.
pub fn drain(client: Client) {
    let mut stream = client.stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    });
}
