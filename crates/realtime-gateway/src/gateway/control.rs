//! What sessions are told to do, wherever they are, and what became of it.

use std::{pin::pin, time::Duration};

use futures::future::{join, join_all};
use realtime_core::{
    BoxError, CloseCode, RoomName,
    broker::{
        Broker, BrokerError, BrokerErrorKind, NodeInfo, Topic,
        control::{Command, Operation},
        envelope::{Envelope, EnvelopeKind, Except, Target},
    },
    codec::FrameKind,
    patient_until,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Gateway,
    audience::{Audience, Wrong},
};
use crate::{
    ControlError, ControlErrorKind, JoinErrorKind, NodeReceipt, Receipt,
    cluster::{Asked, Found, SURVEYS},
    control::{self, Deed},
    node::INTRODUCED,
};

/// How long the broker has to take over what nobody is waited for.
const HANDED_OVER: Duration = Duration::from_millis(100);

impl Gateway {
    /// The nodes of the cluster, as far as this one knows: itself first, then those that the broker
    /// has told of.
    ///
    /// A node that was killed is among them until the broker has found that out, which takes some
    /// seconds.
    ///
    /// ```
    /// let gateway = realtime::builder().build()?;
    /// assert_eq!(gateway.nodes()[0].id, *gateway.node_id());
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let node = self.node();
        let mut others = node.peers.all();
        others.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        others.insert(0, node.info.clone());
        others
    }
}

/// # Control
/// What an audience is told to do is done on each node to its own sessions, and the answer is a
/// [`Receipt`]. It never waits beyond its time: 3 s, or what [`within`](Audience::within) says.
impl Audience<'_> {
    /// How long other nodes and clients are waited for, where nothing else is said.
    pub const WITHIN: Duration = Duration::from_secs(3);
    /// The longest that they can be waited for.
    pub const MAX_WITHIN: Duration = control::LONGEST;

    /// How long other nodes are waited for with [`disconnect`](Self::disconnect),
    /// [`join`](Self::join) and [`leave`](Self::leave), and clients with
    /// [`request`](Self::request): at most [`MAX_WITHIN`](Self::MAX_WITHIN). Default:
    /// [`WITHIN`](Self::WITHIN). A send waits for nobody.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time.min(Self::MAX_WITHIN);
        self
    }

    /// Closes the sessions of the audience, on all nodes, as [`Session::close`] does: what was sent
    /// to them before is written first. Those that are closing already don't count.
    ///
    /// To keep them from coming back is for the authenticator.
    ///
    /// # Cancel safety
    /// Dropped before it returns, some sessions may be closed and others not.
    ///
    /// # Errors
    /// Kind [`InvalidTarget`](ControlErrorKind::InvalidTarget) for a room without a valid name, no
    /// room, or too many at once; [`Closed`](ControlErrorKind::Closed) while the gateway shuts down;
    /// [`TooMany`](ControlErrorKind::TooMany). In each case nothing was done. That a node didn't
    /// answer, or that the broker is away, is no error: the [`Receipt`] says so.
    ///
    /// [`Session::close`]: crate::Session::close
    ///
    /// ```
    /// use realtime::{CloseCode, Identity, IdentityKey};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut phone = connect(&gateway, Identity::new("ann")).await?;
    /// # let mut laptop = connect(&gateway, Identity::new("ann")).await?;
    /// let ann = gateway.identity(&IdentityKey::new("ann"));
    /// let receipt = ann.disconnect(CloseCode::DISCONNECTED, "signed out everywhere").await?;
    /// assert_eq!(receipt.sessions, 2);
    /// # assert_eq!(phone.closed().await?.reason, "signed out everywhere");
    /// # assert_eq!(laptop.closed().await?.code, Some(CloseCode::DISCONNECTED));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn disconnect(
        self,
        code: CloseCode,
        reason: impl Into<String>,
    ) -> Result<Receipt, ControlError> {
        self.command(Deed::Disconnect(code, reason.into())).await
    }

    /// Makes the sessions of the audience members of a room, on all nodes, as [`Session::join`]
    /// does: when this has returned, those of the nodes that have answered miss nothing that is sent
    /// to it. Those that are members already stay so. Those that could not join have
    /// [`failed`](Receipt::failed).
    ///
    /// # Cancel safety
    /// Dropped before it returns, some may be members and others not.
    ///
    /// # Errors
    /// Kind [`InvalidRoom`](ControlErrorKind::InvalidRoom), and those of
    /// [`disconnect`](Self::disconnect).
    ///
    /// [`Session::join`]: crate::Session::join
    ///
    /// ```
    /// use realtime::{Identity, Json};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann").with_tenant("acme")).await?;
    /// let receipt = gateway.tenant("acme").join("acme:alerts").await?;
    /// assert_eq!((receipt.sessions, receipt.failed), (1, 0));
    /// gateway.room("acme:alerts").send("alert", Json("disk full")).await?;
    /// # ann.receive_on("alert").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn join<R>(self, room: R) -> Result<Receipt, ControlError>
    where
        R: TryInto<RoomName, Error: Into<BoxError>>,
    {
        let room = named(room).inspect_err(|_| {
            // No session gets to see it, so nobody else counts it.
            let metrics = self.gateway.node().metrics();
            metrics.joined(JoinErrorKind::InvalidRoom.name());
        })?;
        self.command(Deed::Join(room)).await
    }

    /// Takes the sessions of the audience out of a room, on all nodes, as [`Session::leave`] does.
    /// Those that are no members count, too: they are out. Where clients may ask to come into the room,
    /// those that were in it are told that they no longer are (the notice `removed`).
    ///
    /// # Cancel safety
    /// Dropped before it returns, some may have left and others not.
    ///
    /// # Errors
    /// Those of [`join`](Self::join).
    ///
    /// [`Session::leave`]: crate::Session::leave
    ///
    /// ```
    /// use realtime::{Identity, IdentityKey};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut troll = connect(&gateway, Identity::new("troll")).await?;
    /// # let session = troll.session(&gateway).ok_or("no session")?;
    /// # session.join("chat:7").await?;
    /// // A moderator, on whatever node, removes somebody from a room.
    /// let receipt = gateway.identity(&IdentityKey::new("troll")).leave("chat:7").await?;
    /// assert!(receipt.is_complete());
    /// # assert!(session.rooms().is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn leave<R>(self, room: R) -> Result<Receipt, ControlError>
    where
        R: TryInto<RoomName, Error: Into<BoxError>>,
    {
        let room = named(room)?;
        self.command(Deed::Leave(room)).await
    }

    pub(super) async fn command(self, deed: Deed) -> Result<Receipt, ControlError> {
        let begun = Instant::now();
        let by = begun + self.within;
        let Told {
            gateway,
            to,
            except,
        } = self.told()?;
        gateway.background().ensure();
        let node = gateway.node();
        let survey = gateway.survey(&to)?;
        let own = timeout_at(by, control::perform(node, &to, &except, &deed));
        let others = async {
            let asked = survey.as_ref()?;
            let (to, except) = (to.clone(), except.clone());
            let what = (to, except, deed.operation(), FrameKind::Binary);
            gateway.ask(asked, what, by).await
        };
        // This node first, as far as it needn't wait.
        let (own, not_asked) = join(own, others).await;
        let own = match own {
            Ok(done) => Ok(NodeReceipt::done(
                node.info.clone(),
                done.sessions,
                done.failed,
            )),
            Err(_late) => Err(node.info.clone()),
        };
        let found = survey.map(|asked| asked.found()).unwrap_or_default();
        Ok(receipt(own, found, not_asked, begun))
    }

    /// What an audience that is told something is made of.
    pub(super) fn told(self) -> Result<Told, ControlError> {
        let wrong = |context| ControlError::new(ControlErrorKind::InvalidTarget, context);
        if self.key.is_some() {
            let context = "expected an idempotency key with messages only; got one for what \
                           sessions are told to do, which may be repeated anyway";
            return Err(wrong(context.into()));
        }
        let to = self.to.map_err(|Wrong(context)| wrong(context))?;
        let gateway = self.gateway.clone();
        if gateway.node().is_ending() {
            let context = "the gateway is shutting down and tells sessions nothing more";
            return Err(ControlError::new(ControlErrorKind::Closed, context));
        }
        Ok(Told {
            gateway,
            to,
            except: self.except,
        })
    }
}

/// Who is told something.
pub(super) struct Told {
    pub(super) gateway: Gateway,
    pub(super) to: Target,
    pub(super) except: Vec<Except>,
}

impl Gateway {
    /// Whether no other node is concerned.
    pub(super) fn is_here(&self, to: &Target) -> bool {
        matches!(to, Target::Session(id) if self.node().hub.get(*id).is_some())
    }

    /// Begins to wait for the other nodes; `None` where they aren't asked.
    pub(super) fn survey(&self, to: &Target) -> Result<Option<Asked>, ControlError> {
        let node = self.node();
        if self.is_here(to) || !node.reaches_others() {
            return Ok(None);
        }
        let known = node.peers.all();
        let asked = node.surveys.begin(known.clone()).ok_or_else(|| {
            let context = format!(
                "expected at most {SURVEYS} waits for other nodes at once; there are as many: try \
                 again, or wait for less long"
            );
            ControlError::new(ControlErrorKind::TooMany, context)
        })?;
        self.forget_gone(&known);
        Ok(Some(asked))
    }

    /// Those that have gone since these were known are waited for by nobody.
    fn forget_gone(&self, known: &[NodeInfo]) {
        let node = self.node();
        let there = node.peers.all();
        for gone in known.iter().filter(|node| !there.contains(node)) {
            node.surveys.has_gone(gone);
        }
    }

    /// Waits for those, too, that have said only now that they are there, and returns them.
    fn await_new(&self, asked: &Asked) -> Vec<NodeInfo> {
        let known = self.node().peers.all();
        let new = asked.awaits(&known);
        self.forget_gone(&known);
        new
    }

    /// Waits until the other nodes have had time to say that they are there, where the link to them
    /// is young.
    pub(super) async fn knows_others(&self, by: Instant) {
        let node = self.node();
        let young = INTRODUCED.saturating_sub(node.broker_link.age());
        // Half of the time is theirs.
        let most = by.saturating_duration_since(Instant::now()) / 2;
        tokio::time::sleep(young.min(most)).await;
    }

    /// Asks the other nodes and waits for them. Returns why they could not be asked, where that is
    /// so.
    pub(super) async fn ask(
        &self,
        asked: &Asked,
        (to, except, operation, kind): (Target, Vec<Except>, Operation, FrameKind),
        by: Instant,
    ) -> Option<BrokerError> {
        let node = self.node();
        // Clients are asked once, so all nodes have to be there before.
        let asks_clients = matches!(operation, Operation::Request(_));
        if asks_clients {
            self.knows_others(by).await;
            self.await_new(asked);
        }
        let within = by.saturating_duration_since(Instant::now());
        let traced = node.tracer().ask(&operation);
        let command = Command::new(operation, within).encode();
        let codec = node.env.dialects.codec().name();
        let envelope = Envelope::new(to, codec, kind, command)
            .with_kind(EnvelopeKind::Control)
            .with_correlation(asked.number())
            .with_except(except);
        let envelope = traced.sign(envelope).encode();
        let published = traced.around(node.broker.publish(&Topic::All, envelope.clone()));
        let mut published = pin!(published);
        let settled = async {
            if !asks_clients {
                // They were told at once, as far as they could hear it. Those that have come since are
                // told once more: it may be repeated.
                self.knows_others(by).await;
                let new = self.await_new(asked).into_iter();
                let told = new.map(|new| {
                    let (topic, envelope) = (Topic::Node(new.id), envelope.clone());
                    async move { node.broker.publish(&topic, envelope).await }
                });
                // Who doesn't get it is known to be missing.
                let _told = join_all(told).await;
            }
            asked.settled().await;
        };
        let mut settled = pin!(patient_until(by.into(), settled));
        let accepted = tokio::select! {
            biased;
            accepted = &mut published => accepted,
            // They may have been asked though the broker hasn't confirmed it.
            settled = &mut settled => match settled {
                Some(()) => {
                    // Some aren't known yet, and are to hear of it all the same.
                    let _accepted = timeout(HANDED_OVER, published).await;
                    return None;
                }
                None => {
                    let context =
                        "the broker did not accept in time what other nodes are asked for";
                    let kind = BrokerErrorKind::Unknown;
                    traced.unpublished(kind);
                    return Some(BrokerError::new(kind, context));
                }
            },
        };
        match accepted {
            Err(error) if error.kind() != BrokerErrorKind::Unknown => {
                traced.unpublished(error.kind());
                Some(error)
            }
            _ => {
                let _late = settled.await;
                None
            }
        }
    }
}

/// What this node has done, or that it wasn't in time, and what the others have answered.
pub(super) fn receipt(
    own: Result<NodeReceipt, NodeInfo>,
    found: Found,
    not_asked: Option<BrokerError>,
    begun: Instant,
) -> Receipt {
    let Found {
        nodes: others,
        mut missing,
        left,
    } = found;
    let mut nodes = Vec::with_capacity(1 + others.len());
    match own {
        Ok(done) => nodes.push(done),
        Err(late) => missing.insert(0, late),
    }
    nodes.extend(others);
    Receipt {
        sessions: nodes.iter().map(|node| node.sessions).sum(),
        failed: nodes.iter().map(|node| node.failed).sum(),
        nodes,
        missing,
        left,
        not_asked,
        elapsed: begun.elapsed(),
    }
}

fn named<R>(room: R) -> Result<RoomName, ControlError>
where
    R: TryInto<RoomName, Error: Into<BoxError>>,
{
    room.try_into().map_err(|wrong| {
        let context = "the room can't be joined or left, since it has no valid name";
        ControlError::new(ControlErrorKind::InvalidRoom, context).with_source(wrong)
    })
}
