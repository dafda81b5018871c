//! Taps: which there are, and who of the sessions they look at.

mod line;
mod point;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use realtime_core::IdentityKey;
use tokio::{sync::mpsc, time::Instant};

pub(crate) use line::{COPIED, Line, Seen, TAPPED, What};
pub(crate) use point::TapPoint;

/// How many taps a node has at once.
pub(crate) const TAPS: usize = 8;
/// How many messages of a tap wait for the one who looks.
const WAITING: usize = 256;

/// All taps of a node.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    /// How many there are, so that a session that comes has to look no further where there are none.
    count: AtomicUsize,
    lines: Mutex<Vec<Arc<Line>>>,
}

impl Taps {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look at an identity, until then; `None` where there are as many taps as there may be.
    pub(crate) fn begin(
        &self,
        key: IdentityKey,
        until: Instant,
    ) -> Option<(Arc<Line>, mpsc::Receiver<Seen>)> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut lines = self.lock();
        lines.retain(|line| line.is_open());
        if lines.len() >= TAPS {
            return None;
        }
        let line = Arc::new(Line::new(key, sender, until));
        lines.push(Arc::clone(&line));
        self.count.store(lines.len(), SeqCst);
        Some((line, receiver))
    }

    pub(crate) fn end(&self, line: &Arc<Line>) {
        let mut lines = self.lock();
        lines.retain(|other| !Arc::ptr_eq(other, line));
        self.count.store(lines.len(), SeqCst);
    }

    /// Those who look at this identity.
    pub(crate) fn of(&self, key: &IdentityKey) -> Vec<Arc<Line>> {
        if self.count.load(SeqCst) == 0 {
            return Vec::new();
        }
        let lines = self.lock();
        let theirs = lines.iter().filter(|line| line.is_of(key));
        theirs.filter(|line| line.is_open()).cloned().collect()
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use std::{sync::atomic::Ordering::Relaxed, time::Duration};

    use bytes::Bytes;
    use realtime_core::SessionId;

    use super::{
        point::{Copied, FRAME},
        *,
    };

    fn key() -> IdentityKey {
        IdentityKey::new("ann")
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    fn begin(taps: &Taps) -> Option<(Arc<Line>, mpsc::Receiver<Seen>)> {
        taps.begin(key(), later())
    }

    #[test]
    fn there_are_so_many_taps_and_no_more_until_one_ends() {
        let taps = Taps::default();
        let mut all: Vec<_> = (0..TAPS).map(|_| begin(&taps).unwrap()).collect();
        assert!(begin(&taps).is_none());
        assert_eq!(taps.of(&key()).len(), TAPS);
        assert!(taps.of(&IdentityKey::new("bob")).is_empty());
        taps.end(&all[0].0);
        assert!(begin(&taps).is_some());
        // Whose reader is gone needs no end.
        drop(all.pop());
        assert!(begin(&taps).is_some());
    }

    #[test]
    fn what_waits_is_bounded_and_the_rest_is_counted() {
        let taps = Taps::default();
        let (line, mut receiver) = begin(&taps).unwrap();
        let mut point = TapPoint::default();
        point.add(SessionId::random(), true, Arc::clone(&line));
        let frame = Bytes::from(vec![b'x'; 2 * FRAME]);
        for _ in 0..100 {
            let copied = point.copy(&frame);
            point.sent(copied);
        }
        let mut received = 0;
        while let Ok(seen) = receiver.try_recv() {
            line.taken(&seen);
            received += 1;
        }
        assert!((50..64).contains(&received), "{received}");
        let copied = point.copy(&frame);
        point.sent(copied);
        assert_eq!(receiver.try_recv().unwrap().missed, 100 - received);
        // What there is no room for isn't copied first.
        while let Copied::Frame(..) = point.copy(&frame) {
            let copied = point.copy(&frame);
            point.sent(copied);
        }
        assert!(matches!(point.copy(&frame), Copied::NoRoom));
        drop(receiver);
        let copied = point.copy(&frame);
        point.sent(copied);
        assert!(!point.is_looked_at(), "nobody looks any more");
    }

    #[test]
    fn its_time_is_over_also_where_nobody_takes_what_has_come() {
        let taps = Taps::default();
        let over = Instant::now() - Duration::from_millis(1);
        let all: Vec<_> = (0..TAPS)
            .map(|_| taps.begin(key(), over).unwrap())
            .collect();
        assert!(taps.of(&key()).is_empty());
        let mut point = TapPoint::default();
        point.add(SessionId::random(), true, Arc::clone(&all[0].0));
        let frame = Bytes::from_static(b"frame");
        let copied = point.copy(&frame);
        point.sent(copied);
        assert!(!point.is_looked_at() && all[0].0.waiting.load(Relaxed) == 0);
        assert!(begin(&taps).is_some(), "their places are free");
    }

    #[test]
    fn a_quiet_session_keeps_no_line_that_has_ended() {
        let (taps, mut point) = (Taps::default(), TapPoint::default());
        for _ in 0..100 {
            let (line, receiver) = begin(&taps).unwrap();
            point.add(SessionId::random(), true, Arc::clone(&line));
            drop(receiver);
            taps.end(&line);
        }
        assert_eq!(point.0.unwrap().lines.len(), 1);
    }

    #[test]
    fn so_many_sessions_are_looked_at_and_the_others_are_counted() {
        let taps = Taps::default();
        let (line, _receiver) = begin(&taps).unwrap();
        let mut points: Vec<_> = (0..TAPPED + 3).map(|_| TapPoint::default()).collect();
        for point in &mut points {
            point.add(SessionId::random(), true, Arc::clone(&line));
            // Again, as a session does that comes at the same time.
            if point.is_looked_at() {
                point.add(SessionId::random(), true, Arc::clone(&line));
            }
        }
        assert_eq!((line.sessions(), line.left_out()), (TAPPED, 3));
        assert!(!points[TAPPED].is_looked_at());
    }
}
