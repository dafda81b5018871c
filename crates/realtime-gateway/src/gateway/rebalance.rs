//! Sessions that go to other nodes, once there are more of those.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::Gateway;
use crate::session::EndCause;

/// How many sessions are closed until other tasks have a turn.
const TURN: u32 = 128;

impl Gateway {
    /// Closes so many sessions of this node, at random, so many a second: after others were added, its
    /// clients come back and reach those, where the balancer prefers nodes with few connections.
    /// Returns how many it has closed, which is fewer where there were fewer.
    ///
    /// They are closed with 3011, upon which clients come back at once; others see an end of the
    /// connection as any other. Those who come while it runs stay, whichever node they have come from,
    /// and a [drain](Self::drain) or a shutdown ends it.
    ///
    /// Over HTTP/2 a client comes back on the connection that it has, and so to this node: these
    /// sessions are closed, and stay here. A drain ends their connections, too.
    ///
    /// # Cancel safety
    /// Safe: dropped before it returns, no more sessions are closed.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    ///
    /// use realtime::{CloseCode, Identity};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// // Two nodes have become three: a third of the sessions is for the new one.
    /// let third = gateway.stats().open.div_ceil(3) as usize;
    /// let a_second = NonZeroU32::new(50).ok_or("zero")?;
    /// assert_eq!(gateway.rebalance(third, a_second).await, 1);
    /// # assert_eq!(ann.closed().await?.code, Some(CloseCode::RECONNECT));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn rebalance(&self, sessions: usize, a_second: NonZeroU32) -> usize {
        let node = self.node();
        let mut chosen = node.hub.all();
        fastrand::shuffle(&mut chosen);
        let begun = Instant::now();
        let mut closed: u32 = 0;
        let wanted = u32::try_from(sessions).unwrap_or(u32::MAX);
        while closed < wanted
            && let Some(session) = chosen.pop()
        {
            let due = begun + Duration::from_secs(1) * closed / a_second.get();
            if due > Instant::now() {
                let its_turn = node.draining.run_until_cancelled(sleep_until(due));
                if its_turn.await.is_none() {
                    break;
                }
            } else if closed % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            if node.is_draining() {
                break;
            }
            closed += u32::from(session.end(EndCause::Rebalanced));
        }
        closed as usize
    }
}
