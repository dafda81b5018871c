//! Keeps the nodes running: one that ends is started anew after a while. Kubernetes or systemd does
//! this where it runs for real.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{balancer::Nodes, child::Child, node::REDIS_URL};

/// How long a node is away: long enough to see that it is.
const AWAY: Duration = Duration::from_secs(8);

pub(crate) struct Supervisor {
    keeping: JoinSet<()>,
    ends: watch::Sender<bool>,
}

impl Supervisor {
    /// Starts the nodes, and returns when all are ready.
    pub(crate) async fn start(
        names: [&'static str; 3],
        redis: &str,
        nodes: Nodes,
    ) -> io::Result<Self> {
        let [a, b, c] = names.map(|name| Place {
            name,
            redis: redis.to_owned(),
            nodes: nodes.clone(),
        });
        let (in_a, in_b, in_c) = tokio::try_join!(a.fill(), b.fill(), c.fill())?;
        let ends = watch::Sender::new(false);
        let mut keeping = JoinSet::new();
        for (place, node) in [(a, in_a), (b, in_b), (c, in_c)] {
            keeping.spawn(place.keep(node, ends.subscribe()));
        }
        Ok(Self { keeping, ends })
    }

    /// Ends all of them at the same time.
    pub(crate) async fn end(&mut self) {
        self.ends.send_replace(true);
        while self.keeping.join_next().await.is_some() {}
    }
}

/// Where a node of this name is, or will be.
struct Place {
    name: &'static str,
    redis: String,
    nodes: Nodes,
}

impl Place {
    async fn fill(&self) -> io::Result<Child> {
        let variables = [(REDIS_URL, &*self.redis)];
        let (node, url) = Child::start(&["node", self.name], &variables).await?;
        let address = url.strip_prefix("http://").unwrap_or(&url).parse();
        let address: SocketAddr = address.map_err(io::Error::other)?;
        self.nodes.add(self.name, address);
        let process = node.id().unwrap_or_default();
        println!("node {}: process {process}, on {url}", self.name);
        Ok(node)
    }

    /// Until the end, of which `ends` tells.
    async fn keep(self, mut node: Child, mut ends: watch::Receiver<bool>) {
        loop {
            let status = tokio::select! {
                status = node.ended() => status,
                () = is_over(&mut ends) => {
                    self.nodes.remove(self.name);
                    return node.end().await;
                }
            };
            self.nodes.remove(self.name);
            println!(
                "node {} has ended: {status}; it is back in {AWAY:?}",
                self.name
            );
            node = loop {
                tokio::select! {
                    () = sleep(AWAY) => {}
                    () = is_over(&mut ends) => return,
                }
                match self.fill().await {
                    Ok(node) => break node,
                    Err(error) => println!("node {} didn't start: {error}", self.name),
                }
            };
        }
    }
}

/// Completes at the end, and where nobody is left to tell of it.
async fn is_over(ends: &mut watch::Receiver<bool>) {
    let _told = ends.wait_for(|ends| *ends).await;
}
