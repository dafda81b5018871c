//! Somebody who behaves well while others don't, and is answered all the while.

use std::{net::SocketAddr, time::Duration};

use realtime_testkit::{client::Request, wait::within};
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle};

/// A session that asks again and again, from before the first hostile byte to after the last.
pub struct Bystander {
    leave: oneshot::Sender<()>,
    asking: JoinHandle<()>,
}

impl Bystander {
    /// Connects, and returns after the first answer.
    pub async fn start(addr: SocketAddr, request: Request) -> Self {
        let mut client = request.connect(addr).await.unwrap();
        let (leave, mut left) = oneshot::channel();
        let (answered, first) = oneshot::channel();
        let asking = tokio::spawn(async move {
            let (mut answered, mut n) = (Some(answered), 0);
            loop {
                // Looks before it asks, so that it asks once more when it is told to leave.
                let leaves = left.try_recv().is_ok();
                let answer = client.request("echo", json!(n)).await.unwrap();
                assert_eq!(answer["data"], n, "the bystander is answered");
                n += 1;
                if let Some(answered) = answered.take() {
                    answered.send(()).unwrap();
                }
                if leaves {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            client.close(1000, "").await.unwrap();
            assert_eq!(client.closed().await.unwrap().0, 1000);
        });
        first.await.expect("the bystander is answered");
        Self { leave, asking }
    }

    /// Asks once more and leaves.
    pub async fn leave(self) {
        let Self { leave, asking } = self;
        // It fails when the bystander has failed, which the next line tells.
        let _told = leave.send(());
        within("the bystander's last answer", asking).await.unwrap();
    }
}
