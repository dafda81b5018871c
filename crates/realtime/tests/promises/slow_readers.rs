//! A peer that reads slowly and steadily is slow, and not gone.

use std::time::Duration;

use realtime::Json;
use realtime_testkit::wait::until;
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep},
};

use crate::host::{ByName, Host, Kind};

const PIECE: usize = 20_000;
/// Less than it reads within the write timeout.
const UNREAD: u32 = 64 * 1024;

/// Linux says late that a socket has room again: when a third of its buffer is free, which takes this
/// reader of 200 kB a second longer than the write timeout.
#[tokio::test]
async fn it_may_take_its_time_for_a_large_message() {
    for kind in [Kind::Plain, Kind::Secured] {
        let builder = realtime::builder().authenticator(ByName);
        let builder = builder.write_timeout(Some(Duration::from_secs(1)));
        let host = Host::start(kind, builder.build().unwrap()).await;
        let mut client = host.connect_narrow("slow", UNREAD).await;
        let session = host.session("slow").await;
        session.send("m", Json(&"x".repeat(16 << 20))).unwrap();
        let timeouts = || host.gateway.stats().write_timeouts;
        let (begun, mut piece) = (Instant::now(), vec![0; PIECE]);
        while begun.elapsed() < Duration::from_secs(4) {
            client.stream.read_exact(&mut piece).await.unwrap();
            sleep(Duration::from_millis(100)).await;
            assert_eq!(timeouts(), 0, "{kind:?}");
        }
        // Now it reads nothing.
        until("it is given up", async || timeouts() == 1).await;
    }
}
