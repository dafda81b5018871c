//! A node whose clock on the wall jumps: nobody ends by that, nor lives for longer.
//!
//! The node is a process of its own, under `libfaketime`, which shows it another time of day and
//! leaves the clock alone that only ever goes on.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use realtime_testkit::{client::Client, servers::Redis, wait::within};
use serde_json::json;

use crate::{
    jwts::{Access, BRIEF, GRACE, SECOND, Stores, show, until_known, who, with},
    killed::{LEASE, Victim},
};

const HOURS: [i32; 2] = [2 * 3600, -2 * 3600];

/// The time of day of a process that is started with it.
pub(crate) struct Wall(PathBuf);

impl Wall {
    fn new() -> Self {
        let name = format!("realtime-wall-{}-{}", std::process::id(), fastrand::u64(..));
        let wall = Self(std::env::temp_dir().join(name));
        wall.jump(0);
        wall
    }

    /// From now on it is so many seconds off.
    fn jump(&self, seconds: i32) {
        let next = self.0.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}\n")).unwrap();
        // In one step: it is read at any time.
        std::fs::rename(next, &self.0).unwrap();
    }

    /// What the environment of such a process has.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("LD_PRELOAD", libfaketime()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.clone()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_file(&self.0);
    }
}

/// Of Debian's package `faketime`, whatever the architecture.
fn libfaketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    let folders = folders.map(|folder| folder.unwrap().path());
    let library = |folder: &Path| folder.join("faketime/libfaketimeMT.so.1");
    let mut found = folders
        .map(|folder| library(&folder))
        .filter(|path| path.exists());
    found.next().expect("the package faketime: `just setup`")
}

async fn is(client: &mut Client, role: &str) {
    assert_eq!(who(client).await, json!(["bob", [role]]));
}

pub(crate) async fn a_clock_that_jumps_ends_nobody_and_lets_nobody_live_longer() {
    let redis = Redis::start().await.unwrap();
    let stores = Stores::all(&redis);
    let other = stores.node(|builder| builder).await;
    let wall = Wall::new();
    let (_node, addr) = Victim::under(&wall, &stores);
    let token = || Access::of("bob", "phone");
    let join = async || with(&token()).connect(addr).await.unwrap();
    let mut stays = join().await;
    is(&mut stays, "guest").await;
    until_known(&[&other], 1, 2).await;

    for jump in HOURS {
        let begun = Instant::now();
        let mut ends = with(&token().brief()).connect(addr).await.unwrap();
        is(&mut ends, "guest").await;
        wall.jump(jump);
        // It is told and closed when it would have been.
        let told = within("the notice", ends.recv_json()).await.unwrap();
        assert_eq!(told["route"], "expiring", "{jump}: {told}");
        assert!(begun.elapsed() > BRIEF / 4, "{jump}: {:?}", begun.elapsed());
        let closed = ends.closed().await;
        assert_eq!(closed, Some((3005, "expired".into())), "{jump}");
        let lasted = begun.elapsed();
        let most = BRIEF + GRACE + 10 * SECOND;
        let least = BRIEF + GRACE;
        assert!(lasted >= least && lasted < most, "{jump}: {lasted:?}");

        // Who shows something now is judged by the clock as it is, and may come back.
        let (status, answer) = if jump > 0 {
            (401, "expired")
        } else {
            (503, "unavailable")
        };
        assert_eq!(with(&token()).refused(addr).await.status, status, "{jump}");
        let shown = show(&mut stays, &token()).await;
        assert_eq!(shown["data"]["code"], answer, "{jump}: {shown}");
        // Leases go by the store's clock.
        tokio::time::sleep(2 * LEASE).await;
        until_known(&[&other], 1, 2).await;
        who(&mut stays).await;
        wall.jump(0);
        let fresh = token().role("member");
        assert_eq!(show(&mut stays, &fresh).await["route"], "authenticate");
        is(&mut stays, "member").await;
    }
    let mut late = join().await;
    is(&mut late, "guest").await;
    other.stop().await;
}
