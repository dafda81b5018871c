//! The kinds of load.

use std::{
    io,
    thread::sleep,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    Latency, Options, Outcome,
    calls::Calls,
    dialect::Ask,
    meter::{Latencies, Meter},
    swarm::Swarm,
};
use crate::{process::Process, work::Shape};

/// What comes before the measurement, as a part of its length.
const WARM_UP: f64 = 0.2;

/// Clients that are open, and the messages that they send.
pub(super) struct Field {
    pub(super) swarm: Swarm,
    pub(super) server: Process,
    /// A window of messages, ready to be written.
    burst: Bytes,
    shape: Shape,
    pub(super) latencies: Latencies,
}

impl Field {
    pub(super) fn open(options: &Options, shape: Shape, ask: Ask) -> io::Result<Self> {
        let (frame, expected) = options.dialect.message(ask, shape.payload);
        let mut swarm = Swarm::new(options.to, options.dialect, expected)?.over(options.wiring());
        swarm.open(shape.sessions)?;
        Ok(Self {
            swarm,
            server: Process::of(options.pid),
            burst: frame.repeat(shape.window).into(),
            shape,
            latencies: Latencies::new()?,
        })
    }

    /// Opens it, and waits until every client gets what is sent to all.
    fn join(options: &Options, shape: Shape, ask: Ask) -> io::Result<Self> {
        let mut field = Self::open(options, shape, ask)?;
        let joins = options.dialect.joins(ask).unwrap_or_default();
        field.all_send(options, |_| joins.clone())?;
        Ok(field)
    }

    /// Every client sends something that isn't answered, and has one message echoed: a server may
    /// answer the upgrade before the session gets broadcasts, but what it echoes it has read from a
    /// member, behind what came before.
    pub(super) fn all_send(
        &mut self,
        options: &Options,
        what: impl Fn(usize) -> Bytes,
    ) -> io::Result<()> {
        let (frame, size) = options.dialect.message(Ask::Echo, self.shape.payload);
        let expected = std::mem::replace(&mut self.swarm.expected, size);
        for (index, client) in self.swarm.clients.iter_mut().enumerate() {
            client.send(&[&what(index)[..], &frame].concat())?;
        }
        let mut waiting = self.shape.sessions;
        while waiting > 0 {
            self.swarm.turn(None, |_, _, _| {
                waiting -= 1;
                Ok(())
            })?;
        }
        self.swarm.expected = expected;
        Ok(())
    }

    /// Warms up, then measures what `work` does until a moment.
    pub(super) fn measure(
        &mut self,
        options: &Options,
        mut work: impl FnMut(&mut Self, Instant) -> io::Result<u64>,
    ) -> io::Result<Outcome> {
        let length = options.length()?;
        work(self, Instant::now() + length.mul_f64(WARM_UP))?;
        self.latencies.clear();
        let calls = options
            .calls
            .then(|| Calls::attach(options.pid))
            .transpose()?;
        let meter = Meter::start(&self.server)?;
        let count = work(self, Instant::now() + length)?;
        let mut outcome = meter.stop(count)?;
        outcome.system_calls = calls.map(Calls::finish).transpose()?;
        outcome.latency = Some(self.latencies.summary());
        Ok(outcome)
    }

    /// One session sends a window of broadcasts; when all have them, the next. At least once.
    fn broadcast(&mut self, until: Instant) -> io::Result<u64> {
        let (sessions, window) = (self.shape.sessions, self.shape.window as u64);
        let mut received = vec![0; sessions];
        let mut sent = 0;
        while sent == 0 || Instant::now() < until {
            let start = Instant::now();
            self.swarm.clients[0].send(&self.burst)?;
            sent += window;
            let mut missing = sessions as u64 * window;
            while missing > 0 {
                self.swarm.turn(None, |_, index, count| {
                    received[index] += count;
                    if received[index] > sent {
                        return Err(io::Error::other("a broadcast came twice"));
                    }
                    missing -= count;
                    self.latencies.record(start.elapsed(), count);
                    Ok(())
                })?;
            }
        }
        Ok(sent * sessions as u64)
    }

    /// Every session sends a window of messages; when it has them back, the next. At least once.
    fn echo(&mut self, until: Instant) -> io::Result<u64> {
        let (sessions, window) = (self.shape.sessions, self.shape.window as u64);
        let mut count = 0;
        let mut waiting = sessions;
        let mut under_way = vec![(window, Instant::now()); sessions];
        for client in &mut self.swarm.clients {
            client.send(&self.burst)?;
        }
        while waiting > 0 {
            self.swarm.turn(None, |client, index, got| {
                let (missing, start) = &mut under_way[index];
                let now = Instant::now();
                *missing = missing
                    .checked_sub(got)
                    .ok_or_else(|| io::Error::other("an echo came twice"))?;
                count += got;
                self.latencies.record(now.duration_since(*start), got);
                if *missing == 0 {
                    if now < until {
                        (*missing, *start) = (window, now);
                        client.send(&self.burst)?;
                    } else {
                        waiting -= 1;
                    }
                }
                Ok(())
            })?;
        }
        Ok(count)
    }

    /// One session broadcasts at a rate. A message's time begins when it should have been sent.
    fn at_rate(&mut self, interval: Duration, until: Instant) -> io::Result<Option<u64>> {
        /// What a server may be behind before it counts as saturated.
        const BEHIND: Duration = Duration::from_secs(2);
        let sessions = self.shape.sessions;
        let start = Instant::now();
        let due = |number: u32| start + interval * number;
        let mut received = vec![0_u32; sessions];
        let (mut sent, mut arrived) = (0_u32, 0_u64);
        loop {
            let now = Instant::now();
            let sending = sent == 0 || now < until;
            while sending && due(sent) <= now {
                self.swarm.clients[0].send(&self.burst)?;
                sent += 1;
            }
            let all = u64::from(sent) * sessions as u64;
            if !sending && arrived == all {
                return Ok(Some(arrived));
            }
            if !sending && now > until + BEHIND {
                return Ok(None);
            }
            let deadline = if sending { due(sent) } else { until + BEHIND };
            self.swarm.turn(Some(deadline), |_, index, count| {
                let now = Instant::now();
                for _ in 0..count {
                    let late = now.saturating_duration_since(due(received[index]));
                    self.latencies.record(late, 1);
                    received[index] += 1;
                }
                arrived += count;
                Ok(())
            })?;
        }
    }
}

pub(super) fn fan_out(options: &Options, shape: Shape, ask: Ask) -> io::Result<Outcome> {
    Field::join(options, shape, ask)?.measure(options, Field::broadcast)
}

pub(super) fn echo(options: &Options, shape: Shape, ask: Ask) -> io::Result<Outcome> {
    Field::join(options, shape, ask)?.measure(options, Field::echo)
}

pub(super) fn latency(options: &Options, shape: Shape) -> io::Result<Outcome> {
    let interval = options.interval()?;
    let mut field = Field::join(options, shape, Ask::Broadcast)?;
    let mut saturated = false;
    let mut outcome = field.measure(options, |field, until| {
        field.swarm.take_busy();
        if saturated {
            return Ok(0);
        }
        let count = field.at_rate(interval, until)?;
        saturated = count.is_none();
        Ok(count.unwrap_or_default())
    })?;
    outcome.saturated = saturated;
    // Between two messages it looks at the clock all the time, which isn't work.
    outcome.own_share = field.swarm.take_busy().as_secs_f64() / outcome.seconds;
    Ok(outcome)
}

pub(super) fn stalled(options: &Options, shape: Shape) -> io::Result<Outcome> {
    let mut field = Field::join(options, shape, Ask::Broadcast)?;
    let before = field.measure(options, Field::broadcast)?;
    let memory = field.server.memory()?;
    field.swarm.open_stalled()?;
    let mut outcome = field.measure(options, Field::broadcast)?;
    let grown = field.server.memory()?.saturating_sub(memory) as f64;
    let none = Latency {
        p50: 0.0,
        p99: 0.0,
        max: 0.0,
    };
    outcome.stalled = Some((grown, before.latency.unwrap_or(none)));
    Ok(outcome)
}

/// Opens connections and holds them. Then each sends 10 messages and gets them back, and gets 90
/// broadcasts.
pub(super) fn connect(options: &Options, sessions: usize) -> io::Result<Outcome> {
    const PAYLOAD: usize = 128;
    let shape = |window| Shape {
        sessions,
        payload: PAYLOAD,
        window,
    };
    let server = Process::of(options.pid);
    let before = server.memory()?;
    let per_connection = |now: u64| now.saturating_sub(before) as f64 / sessions as f64;
    let meter = Meter::start(&server)?;
    let started = Instant::now();
    let mut field = Field::open(options, shape(10), Ask::Echo)?;
    let seconds = started.elapsed().as_secs_f64();
    let own_share = meter.share_so_far()?;
    // What the server does behind its answers counts too.
    settle(&server)?;
    let mut outcome = meter.stop(sessions as u64)?;
    (outcome.seconds, outcome.own_share) = (seconds, own_share);
    let idle = per_connection(server.memory()?);
    field.echo(Instant::now())?;
    field.burst = options
        .dialect
        .message(Ask::Broadcast, PAYLOAD)
        .0
        .repeat(10)
        .into();
    for _ in 0..9 {
        field.broadcast(Instant::now())?;
    }
    settle(&server)?;
    let after = per_connection(server.memory()?);
    outcome.memory = Some([idle, after]);
    Ok(outcome)
}

/// Waits until the server's memory changes no more, at most a few seconds.
pub(super) fn settle(server: &Process) -> io::Result<()> {
    let mut last = server.memory()?;
    for _ in 0..10 {
        sleep(Duration::from_millis(300));
        let now = server.memory()?;
        if now.abs_diff(last) * 200 <= last {
            return Ok(());
        }
        last = now;
    }
    Ok(())
}
