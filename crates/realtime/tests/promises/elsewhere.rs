//! A server in a runtime of its own, with one thread, that the test can stop and drop.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use realtime::Gateway;
use realtime_testkit::client::Client;
use tokio::sync::oneshot;

use crate::support::Server;

pub struct Elsewhere {
    pub addr: SocketAddr,
    freeze: Option<oneshot::Sender<()>>,
    frozen: mpsc::Receiver<()>,
    /// Dropping it ends the runtime.
    _thaw: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Elsewhere {
    /// Returns once it listens.
    pub fn serve(gateway: &Gateway) -> Self {
        let gateway = gateway.clone();
        let (started, starts) = mpsc::channel();
        let (freeze, freezes) = oneshot::channel::<()>();
        let (froze, frozen) = mpsc::channel();
        let (thaw, thaws) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().unwrap();
            runtime.block_on(async move {
                let server = Server::start(gateway).await;
                started.send(server.addr).unwrap();
                let _dropped = freezes.await;
                // Nothing runs from here on, and nothing more before the runtime is dropped.
                let _nobody_waits = froze.send(());
                let _dropped = thaws.recv();
            });
        });
        Self {
            addr: starts.recv().unwrap(),
            freeze: Some(freeze),
            frozen,
            _thaw: thaw,
            thread,
        }
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.addr).await.unwrap()
    }

    /// From now on no task of this runtime runs, and it still isn't dropped.
    pub fn freeze(&mut self) {
        if self.freeze.take().is_some() {
            self.frozen.recv().unwrap();
        }
    }

    /// Drops the runtime with all that runs in it.
    pub async fn end(mut self) {
        self.freeze();
        let Self { _thaw, thread, .. } = self;
        drop(_thaw);
        tokio::task::spawn_blocking(|| thread.join().unwrap())
            .await
            .unwrap();
    }
}
