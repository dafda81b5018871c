//! What rosters keep in Redis, what else may stand there, and what happens when Redis fails.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use realtime_core::{
    IdentityKey, Incarnation, NodeId,
    broker::NodeInfo,
    presence::{
        AnyRoster, CLAIM, Change, ChangeKind, Group, Member, Presence, PresenceError,
        PresenceErrorKind, Roster, SPEAK_AGAIN,
    },
};
use realtime_presence_redis::RedisPresence;
use realtime_testkit::{servers::redis::Redis, wait::until};
use support::{LONG, SOON, next_down, next_up, presence, works};

const NO_GRACE: Duration = Duration::from_millis(1);
/// For how long everything outlasts the longest lease, in ms.
const DAY: i64 = 86_400_000;

fn roster(presence: &RedisPresence) -> AnyRoster {
    presence.roster().unwrap()
}

fn node() -> NodeInfo {
    NodeInfo::new(NodeId::random(), Incarnation::random())
}

fn lobby() -> Group {
    Group::Room("lobby".parse().unwrap())
}

fn member(name: &str) -> Member {
    Member::new(lobby(), IdentityKey::new(name).with_tenant("acme"))
}

fn crowd(count: usize) -> Vec<Member> {
    (0..count).map(|n| member(&n.to_string())).collect()
}

async fn enter(
    roster: &AnyRoster,
    node: &NodeInfo,
    members: &[Member],
    ttl: Option<Duration>,
) -> Vec<Change> {
    let entered = roster.enter(node, members, ttl).await.unwrap();
    assert!(entered.failed.is_empty(), "{:?}", entered.failed.first());
    entered.changes
}

async fn leave(roster: &AnyRoster, node: &NodeInfo, members: &[Member], grace: Duration) {
    let left = roster.leave(node, members, grace).await.unwrap();
    assert!(left.failed.is_empty(), "{:?}", left.failed.first());
}

/// Returns the groups that are unknown.
async fn renew(roster: &AnyRoster, node: &NodeInfo, count: u64) -> Vec<Group> {
    let renewed = roster.renew(node, &[(lobby(), count)], LONG).await.unwrap();
    assert!(renewed.failed.is_empty(), "{:?}", renewed.failed.first());
    renewed.unknown
}

/// The changes that are handed out once there are any.
async fn changes(roster: &AnyRoster) -> Vec<Change> {
    let found = async {
        loop {
            let changes = roster.changes(10_000).await.unwrap();
            if !changes.is_empty() {
                return changes;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Some come when a claim is over.
    let found = tokio::time::timeout(3 * CLAIM, found).await;
    found.unwrap()
}

async fn count(roster: &AnyRoster) -> u64 {
    roster.members(&lobby(), None, 0).await.unwrap().count
}

/// The keys of rosters. Those of the probe come and go.
async fn keys(redis: &Redis) -> Vec<String> {
    let keys = redis.command(&["KEYS", "rt:*:roster:*"]).await.unwrap();
    let keys = keys.lines().filter(|key| !key.is_empty());
    keys.map(str::to_owned).collect()
}

/// The key with this name, of the shard of the lobby.
async fn key(redis: &Redis, name: &str) -> String {
    let keys = keys(redis).await;
    let here = keys.iter().find(|key| key.contains(":here:r:lobby"));
    let (shard, _) = here.unwrap().split_once("here:").unwrap();
    format!("{shard}{name}")
}

async fn number(redis: &Redis, command: &[&str]) -> i64 {
    let answer = redis.command(command).await.unwrap();
    answer
        .parse()
        .unwrap_or_else(|_| panic!("{command:?}: {answer}"))
}

/// The least and the most that keys live on, in ms; -1 for ever.
async fn lives_on(redis: &Redis) -> (i64, i64) {
    let mut all = Vec::new();
    for key in keys(redis).await {
        all.push(number(redis, &["PTTL", &key]).await);
    }
    (*all.iter().min().unwrap(), *all.iter().max().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_expire_a_day_after_the_longest_lease() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, one, other) = (roster(&presence), node(), node());
    let hour = Duration::from_secs(3_600);
    let both = [member("ann"), member("bob")];
    let came = enter(&roster, &one, &both, Some(hour)).await;
    // The version and the list of groups, which are every group's, and six keys of this one but
    // `left`.
    assert_eq!(keys(&redis).await.len(), 7, "{:?}", keys(&redis).await);
    let (least, most) = lives_on(&redis).await;
    assert!(
        least > DAY - 60_000 && most <= DAY + 3_600_000,
        "{least} {most}"
    );
    let here = key(&redis, "here:r:lobby").await;
    assert!(number(&redis, &["PTTL", &here]).await > DAY + 3_500_000);
    // A shorter one changes nothing.
    roster.confirm(&came).await.unwrap();
    enter(&roster, &other, &both[..1], Some(Duration::from_secs(1))).await;
    assert!(number(&redis, &["PTTL", &here]).await > DAY + 3_500_000);
    // One that doesn't end does.
    enter(&roster, &other, &both[..1], None).await;
    assert_eq!(number(&redis, &["PTTL", &here]).await, -1);
    leave(&roster, &other, &both[..1], NO_GRACE).await;
    assert!(number(&redis, &["PTTL", &here]).await > DAY + 3_500_000);
    // As little as half a day is left: it is prolonged by a renewal.
    let on = keys(&redis).await;
    let on = on.iter().find(|key| key.contains(":on:")).unwrap();
    for key in [&here, on] {
        let short = (DAY / 2 - 1_000).to_string();
        redis.command(&["PEXPIRE", key, &short]).await.unwrap();
    }
    assert_eq!(renew(&roster, &one, 2).await, []);
    assert!(lives_on(&redis).await.0 > DAY - 60_000);
    leave(&roster, &one, &both, NO_GRACE).await;
    let told = changes(&roster).await;
    roster.confirm(&told).await.unwrap();
    // It is looked at for the last time when the claim would be over.
    let forgotten = async {
        while keys(&redis).await.len() > 1 {
            let told = roster.changes(10).await.unwrap();
            roster.confirm(&told).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(3 * CLAIM, forgotten).await.unwrap();
    assert!(keys(&redis).await[0].ends_with(":version"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_has_expired_is_not_looked_at_for_ever() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, node) = (roster(&presence), node());
    enter(&roster, &node, &[member("ann")], LONG).await;
    let groups = key(&redis, "groups").await;
    for name in ["r:gone", "x", "", "r:\u{1b}[0m"] {
        redis.command(&["ZADD", &groups, "1", name]).await.unwrap();
    }
    roster.changes(10).await.unwrap();
    let left = redis.command(&["ZRANGE", &groups, "0", "-1"]).await;
    assert_eq!(left.unwrap(), "r:lobby");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_lost_is_unknown_and_enters_again_with_a_higher_version() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, one, other) = (roster(&presence), node(), node());
    let both = [member("ann"), member("bob")];
    let mut last = 0;
    // All of it, and each key by itself as where there is no memory left for it.
    for lost in ["", "here:r:lobby", "nodes:r:lobby"] {
        enter(&roster, &one, &both, LONG).await;
        enter(&roster, &other, &both[1..], LONG).await;
        assert_eq!(renew(&roster, &one, 2).await, []);
        match lost {
            "" => redis.command(&["FLUSHALL"]).await.unwrap(),
            lost => {
                let lost = key(&redis, lost).await;
                redis.command(&["DEL", &lost]).await.unwrap()
            }
        };
        assert_eq!(renew(&roster, &one, 2).await, [lobby()]);
        assert_eq!(renew(&roster, &other, 1).await, [lobby()]);
        let mut came = enter(&roster, &other, &both[1..], LONG).await;
        came.extend(enter(&roster, &one, &both, LONG).await);
        assert_eq!(renew(&roster, &one, 2).await, []);
        assert_eq!(renew(&roster, &other, 1).await, []);
        assert_eq!(count(&roster).await, 2);
        if lost == "nodes:r:lobby" {
            assert_eq!(came, [], "they were there all the while");
            continue;
        }
        assert_eq!(came.len(), 2);
        for change in came {
            assert!(change.version > last, "{change:?}");
            last = change.version;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_grow_also_where_the_clock_was_set_back_or_garbage_stands_there() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, node) = (roster(&presence), node());
    let first = enter(&roster, &node, &[member("0")], LONG).await[0].version;
    let version = key(&redis, "version").await;
    // The last one was given out by a clock that was an hour ahead.
    let ahead = first + 3_600_000_000;
    redis
        .command(&["SET", &version, &ahead.to_string()])
        .await
        .unwrap();
    let three = [member("1"), member("2"), member("3")];
    let came = enter(&roster, &node, &three, LONG).await;
    let versions: Vec<_> = came.iter().map(|change| change.version).collect();
    assert_eq!(versions, [ahead + 1, ahead + 2, ahead + 3]);
    let came = enter(&roster, &node, &[member("4")], LONG).await;
    assert_eq!(came[0].version, ahead + 4);
    for garbage in ["x", "", "1e300", "nan", "inf", "-1", "9007199254740992"] {
        redis.command(&["SET", &version, garbage]).await.unwrap();
        let came = enter(&roster, &node, &[member(&format!("of {garbage}"))], LONG).await;
        let version = came[0].version;
        assert!(version > first && version < ahead, "{garbage}: {version}");
    }
    let found = roster.members(&lobby(), None, 100).await.unwrap();
    assert_eq!(found.count, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_wrote_is_one_members_trouble() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, node) = (roster(&presence), node());
    let both = [member("ann"), member("bob")];
    let came = enter(&roster, &node, &both, LONG).await;
    roster.confirm(&came).await.unwrap();
    for (name, score) in [
        ("x", "5"),
        ("1:a", "-inf"),
        ("\u{7f}", "1e300"),
        ("4:acme", "1.5"),
    ] {
        for key_name in ["here:r:lobby", "due:r:lobby"] {
            let key = key(&redis, key_name).await;
            redis.command(&["ZADD", &key, score, name]).await.unwrap();
        }
    }
    for hash in ["joined:r:lobby", "left:r:lobby"] {
        let key = key(&redis, hash).await;
        for (name, value) in [("4:acme:ann", "x"), ("y", "1"), ("z", "1 2 3 4"), ("x", "")] {
            redis.command(&["HSET", &key, name, value]).await.unwrap();
        }
    }
    let nodes = key(&redis, "nodes:r:lobby").await;
    redis
        .command(&["ZADD", &nodes, "1", "nobody"])
        .await
        .unwrap();
    let groups = key(&redis, "groups").await;
    redis
        .command(&["ZADD", &groups, "1", "r:lobby"])
        .await
        .unwrap();

    let page = roster.members(&lobby(), None, 100).await.unwrap();
    let found: Vec<_> = page.members.iter().map(|m| m.identity.id()).collect();
    assert_eq!((found, page.after), (vec!["ann", "bob"], None));
    assert!(presence.corrupt_records() > 0);
    // It isn't handed out, and those are who come and go beside it.
    assert_eq!(roster.changes(100).await.unwrap(), []);
    leave(&roster, &node, &both, NO_GRACE).await;
    let told = changes(&roster).await;
    let told: HashSet<_> = told.iter().map(|c| (c.member.clone(), c.kind)).collect();
    let left = both.map(|member| (member, ChangeKind::Left));
    assert_eq!(told, HashSet::from(left));
    assert_eq!(enter(&roster, &node, &[member("eve")], LONG).await.len(), 1);
    assert_eq!(renew(&roster, &node, 1).await, []);
}

/// Those of whom a node has to speak again stay for a while, but not where it says that they left.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_before_being_spoken_of_again_has_left() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, node) = (roster(&presence), node());
    let start = Instant::now();
    let came = enter(&roster, &node, &[member("ann"), member("bob")], LONG).await;
    roster.confirm(&came).await.unwrap();
    assert_eq!(renew(&roster, &node, 1).await, [lobby()]);
    assert_eq!(enter(&roster, &node, &[member("ann")], LONG).await, []);
    leave(&roster, &node, &[member("bob")], NO_GRACE).await;
    let told = changes(&roster).await;
    assert!(start.elapsed() < SPEAK_AGAIN, "at once");
    assert_eq!((told.len(), &told[0].member), (1, &member("bob")));
    assert_eq!(renew(&roster, &node, 1).await, []);
}

/// A coming of which nobody has told is handed out again, also where its member is about to leave.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_grace_holds_up_no_coming() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, node) = (roster(&presence), node());
    let start = Instant::now();
    let came = enter(&roster, &node, &[member("ann")], LONG).await;
    leave(&roster, &node, &[member("ann")], 2 * CLAIM).await;
    assert_eq!(changes(&roster).await, came);
    assert!(start.elapsed() < 2 * CLAIM, "{:?}", start.elapsed());
    roster.confirm(&came).await.unwrap();
    let told = changes(&roster).await;
    assert!(start.elapsed() >= 2 * CLAIM - NO_GRACE);
    assert_eq!((told.len(), told[0].kind), (1, ChangeKind::Left));
}

/// A node dies in a room of thousands, and each script does a bounded part of the work.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_of_a_node_that_died_leave_a_hundred_at_a_time() {
    const MANY: usize = 10_000;
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, node) = (roster(&presence), node());
    let members = crowd(MANY);
    let came = enter(&roster, &node, &members, LONG).await;
    roster.confirm(&came).await.unwrap();
    // Another number than there are is dealt with at once, however many there are.
    redis.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    assert_eq!(renew(&roster, &node, 5).await, [lobby()]);
    let slowest = slowest_script(&redis).await;
    assert!(slowest < 100_000, "{slowest} us for one script");
    assert_eq!(enter(&roster, &node, &members, LONG).await, []);
    assert_eq!(renew(&roster, &node, 10_000).await, []);
    assert_eq!(
        roster
            .renew(&node, &[(lobby(), 10_000)], Some(NO_GRACE))
            .await
            .unwrap()
            .unknown,
        []
    );
    let mut left = HashSet::new();
    let start = Instant::now();
    while left.len() < MANY {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{} left",
            left.len()
        );
        let changes = roster.changes(1_000).await.unwrap();
        assert!(changes.len() <= 1_000);
        roster.confirm(&changes).await.unwrap();
        for change in changes {
            assert_eq!(change.kind, ChangeKind::Left);
            assert!(left.insert(change.member), "each once");
        }
    }
    let slowest = slowest_script(&redis).await;
    println!(
        "all had left after {:?}; the slowest script took {slowest} us",
        start.elapsed()
    );
    // On a busy machine; all of them at once take longer on an idle one.
    assert!(slowest < 250_000, "{slowest} us for one script");
    assert_eq!(count(&roster).await, 0);
}

/// How long the slowest script took since the statistics were reset, in us: by the histogram, which
/// has powers of two.
async fn slowest_script(redis: &Redis) -> i64 {
    let mut slowest = 0;
    for command in ["evalsha", "eval"] {
        let histogram = redis.command(&["LATENCY", "HISTOGRAM", command]).await;
        let numbers = histogram.unwrap();
        let numbers: Vec<i64> = numbers
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect();
        // The number of calls, and then pairs.
        let pairs = numbers.get(1..).unwrap_or_default().chunks_exact(2);
        slowest = pairs
            .map(|pair| pair[0])
            .max()
            .unwrap_or_default()
            .max(slowest);
    }
    slowest
}

/// All calls, none of which can be answered.
async fn failure(roster: &AnyRoster, change: &Change) -> PresenceError {
    let (node, ann) = (node(), [member("ann")]);
    let (start, lobby) = (Instant::now(), lobby());
    let counts = [(lobby.clone(), 1)];
    let changes = [change.clone()];
    let (entered, left, renewed, handed_out, confirmed, members) = futures::join!(
        roster.enter(&node, &ann, LONG),
        roster.leave(&node, &ann, NO_GRACE),
        roster.renew(&node, &counts, LONG),
        roster.changes(10),
        roster.confirm(&changes),
        roster.members(&lobby, None, 10),
    );
    let took = start.elapsed();
    assert!(took < SOON, "it took {took:?} to fail");
    let errors = [
        entered.unwrap_err(),
        left.unwrap_err(),
        renewed.unwrap_err(),
        handed_out.unwrap_err(),
        confirmed.unwrap_err(),
        members.unwrap_err(),
    ];
    let kind = errors[0].kind();
    assert!(errors.iter().all(|e| e.kind() == kind), "{errors:?}");
    let [first, ..] = errors;
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_makes_calls_fail_in_time() {
    let mut redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, node) = (roster(&presence), node());
    let mut events = presence.events();
    let came = enter(&roster, &node, &[member("ann")], LONG).await;
    redis.stop().unwrap();
    assert!(failure(&roster, &came[0]).await.is_transient());
    redis.resume().unwrap();
    until("calls are answered", async || {
        roster.changes(0).await.is_ok() && count_of(&roster).await == Some(1)
    })
    .await;
    redis.kill().unwrap();
    assert!(failure(&roster, &came[0]).await.is_transient());
    redis.restart().await.unwrap();
    until("calls are answered", async || {
        count_of(&roster).await == Some(0)
    })
    .await;
    while !matches!(
        realtime_testkit::wait::within("an event", futures::StreamExt::next(&mut events)).await,
        Some(realtime_core::presence::PresenceEvent::Up)
    ) {}
    assert_eq!(renew(&roster, &node, 1).await, [lobby()]);
    assert_eq!(enter(&roster, &node, &[member("ann")], LONG).await.len(), 1);
}

async fn count_of(roster: &AnyRoster) -> Option<u64> {
    let page = roster.members(&lobby(), None, 0).await;
    page.ok().map(|page| page.count)
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_is_transient_and_changes_nothing() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, node) = (roster(&presence), node());
    let came = enter(&roster, &node, &[member("ann")], LONG).await;
    roster.confirm(&came).await.unwrap();
    redis
        .command(&["CONFIG", "SET", "maxmemory", "1"])
        .await
        .unwrap();
    let refused = roster.enter(&node, &[member("bob")], LONG).await;
    let refused = refused.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    assert_eq!(count(&roster).await, 1);
    redis
        .command(&["CONFIG", "SET", "maxmemory", "0"])
        .await
        .unwrap();
    until("calls are answered", async || {
        roster.changes(10).await.is_ok()
    })
    .await;
    assert_eq!(enter(&roster, &node, &[member("bob")], LONG).await.len(), 1);
    assert_eq!(renew(&roster, &node, 2).await, []);
}

/// What a roster does is asked of the server only where there is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_keep_a_roster_is_refused_where_there_is_one() {
    for command in ["-rename", "-smismember", "-spop", "-zmscore", "-pttl"] {
        let rules = format!("~rt:* +@all -@dangerous {command}");
        let redis = Redis::options().user("rt", "pw", &rules).start().await;
        let redis = redis.unwrap();
        works(&presence(redis.url())).await;
        let presence = presence(redis.url());
        let mut events = presence.events();
        let roster = roster(&presence);
        let answer = roster.enter(&node(), &[member("ann")], LONG).await;
        let kind = answer.as_ref().err().map(|error| error.kind());
        assert_eq!(
            kind,
            Some(PresenceErrorKind::Config),
            "{command}: {answer:?}"
        );
        next_down(&mut events).await;
        let enough = ["ACL", "SETUSER", "rt", "+@all", "-@dangerous"];
        redis.command(&enough).await.unwrap();
        next_up(&mut events).await;
        enter(&roster, &node(), &[member("ann")], LONG).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_share_a_server_without_seeing_each_other() {
    let redis = Redis::start().await.unwrap();
    let [shop, game] = ["shop", "game"].map(|n| presence(format!("{}?namespace={n}", redis.url())));
    enter(&roster(&shop), &node(), &[member("ann")], LONG).await;
    assert_eq!(count(&roster(&game)).await, 0);
    assert_eq!(roster(&game).changes(10).await.unwrap(), []);
    let keys = keys(&redis).await;
    assert!(
        keys.iter()
            .all(|key| key.starts_with("rt:shop:roster:{shop:")),
        "{keys:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_outlives_the_handle_that_gave_it_and_ends_with_its_store() {
    let redis = Redis::start().await.unwrap();
    let store = presence(redis.url());
    let roster = roster(&store);
    enter(&roster, &node(), &[member("ann")], LONG).await;
    drop(store);
    assert_eq!(count(&roster).await, 1);
}

/// Not for a limit, but to see what it costs.
#[tokio::test(flavor = "multi_thread")]
async fn what_calls_cost_redis() {
    const ROOMS: usize = 10_000;
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (roster, node) = (roster(&presence), node());
    let room = |n: usize| Group::Room(format!("order:{}", n % ROOMS).parse().unwrap());
    let of = |n: usize| Member::new(room(n), IdentityKey::new(n.to_string()));
    let members: Vec<_> = (0..10 * ROOMS).map(of).collect();
    let counts: Vec<_> = (0..ROOMS).map(|n| (room(n), 10)).collect();
    let ttl = Some(Duration::from_secs(90));
    // Not the time of scripts, which others on a busy machine make longer.
    let busy = async || {
        let cpu = redis.command(&["INFO", "cpu"]).await.unwrap();
        let is_own = |line: &&str| line.contains("_main_thread:");
        let seconds = cpu.lines().filter(is_own).map(|line| {
            let (_, seconds) = line.trim().split_once(':').unwrap();
            seconds.parse::<f64>().unwrap()
        });
        seconds.sum::<f64>() * 1e6
    };
    let took = async |what: &str, times: usize, before: f64| {
        let each = (busy().await - before) / times as f64;
        println!("{what}: {each:.2} us each of {times}");
    };
    let before = busy().await;
    for members in members.chunks(500) {
        let came = roster.enter(&node, members, ttl).await.unwrap().changes;
        roster.confirm(&came).await.unwrap();
    }
    took("enter and confirm, 500 in a call", members.len(), before).await;
    let before = busy().await;
    for counts in counts.chunks(500) {
        let renewed = roster.renew(&node, counts, ttl).await.unwrap();
        assert_eq!(renewed.unknown, []);
    }
    took("renew a room of 10, 500 in a call", ROOMS, before).await;
    // Each room is looked at once after its last claim.
    tokio::time::sleep(CLAIM).await;
    let before = busy().await;
    assert_eq!(roster.changes(1_000).await.unwrap(), []);
    took(
        "look at a room of which nothing is to be told",
        ROOMS,
        before,
    )
    .await;
    let before = busy().await;
    for _ in 0..100 {
        assert_eq!(roster.changes(1_000).await.unwrap(), []);
    }
    took("changes where nothing is due, over all shards", 100, before).await;
    let before = busy().await;
    for member in members.iter().take(1_000) {
        let one = std::slice::from_ref(member);
        leave(&roster, &node, one, Duration::from_secs(60)).await;
        assert_eq!(enter(&roster, &node, one, ttl).await, []);
    }
    took("leave and enter again, one in a call", 1_000, before).await;
    let new: Vec<_> = (0..1_000).map(|n| of(n + 100 * ROOMS)).collect();
    let before = busy().await;
    for member in &new {
        let came = enter(&roster, &node, std::slice::from_ref(member), ttl).await;
        assert_eq!(came.len(), 1);
    }
    took("enter one who is new, one in a call", 1_000, before).await;
    let memory = redis.command(&["INFO", "memory"]).await.unwrap();
    let used = memory.lines().find(|line| line.starts_with("used_memory:"));
    println!(
        "{} for {} members of {ROOMS} rooms",
        used.unwrap(),
        members.len()
    );
}
