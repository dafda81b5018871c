//! The sessions of an identity, and whether there are any.

use std::time::{Duration, SystemTime};

use realtime_core::{IdentityKey, presence::Presence};

use super::{LONG, ann, ids, nodes, ok, register, session, unregister};

/// Tenants are kept apart, also where tenant and id joined would read the same.
pub async fn tenants_are_kept_apart<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    let pairs = [
        ("a|b", "c"),
        ("a", "b|c"),
        ("a:b", "c"),
        ("a", "b:c"),
        ("", "a"),
        ("a", ""),
        ("1:a", "b"),
        ("1", "a:b"),
        ("{a}", "b"),
        ("{a", "}b"),
        ("}", "{"),
        ("ä\0", "\n"),
    ];
    let infos: Vec<_> = pairs
        .iter()
        .map(|(tenant, id)| session(&IdentityKey::new(*id).with_tenant(*tenant)))
        .collect();
    register(&presence, &infos, LONG).await;
    for info in &infos {
        let identity = info.identity.clone();
        assert_eq!(
            ids(&presence, &identity).await,
            [info.session_id],
            "{identity:?}"
        );
    }
}

/// An unknown identity has none.
pub async fn an_unknown_identity_has_no_sessions<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    assert_eq!(ids(&presence, &ann()).await, []);
    assert!(!ok(presence.is_online(&ann()).await));
    assert!(nodes(&presence, &ann()).await.is_empty());
}

/// A session is returned as it was registered, with the end of its lease.
pub async fn a_session_is_returned_as_it_was_registered<P: Presence>(
    mut handle: impl FnMut() -> P,
) {
    let (presence, mut info) = (handle(), session(&ann()));
    info.remote_addr = "[2001:db8::1]:443".parse().ok();
    register(&presence, std::slice::from_ref(&info), LONG).await;
    let found = ok(presence.sessions(&ann()).await);
    assert_eq!(found.len(), 1);
    // A store may keep times to the millisecond.
    let near = |a: SystemTime, b: SystemTime| {
        let apart = a.duration_since(b).or_else(|_| b.duration_since(a));
        apart.is_ok_and(|apart| apart < Duration::from_millis(2))
    };
    assert!(near(found[0].connected_at, info.connected_at), "{found:?}");
    info.connected_at = found[0].connected_at;
    assert!(found[0].expires_at.is_some(), "{found:?}");
    info.expires_at = found[0].expires_at;
    assert_eq!(found[0], info);
}

/// The oldest session comes first.
pub async fn the_oldest_session_comes_first<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    let mut infos: Vec<_> = (0..9).map(|_| session(&ann())).collect();
    for (n, info) in (0..).zip(&mut infos) {
        info.connected_at -= Duration::from_secs(n * 7 % 9);
    }
    register(&presence, &infos, LONG).await;
    infos.sort_by_key(|info| info.connected_at);
    let expected: Vec<_> = infos.iter().map(|info| info.session_id).collect();
    assert_eq!(ids(&presence, &ann()).await, expected);
}

/// `is_online` agrees with `sessions`.
pub async fn is_online_agrees_with_sessions<P: Presence>(mut handle: impl FnMut() -> P) {
    let presence = handle();
    let infos: Vec<_> = (0..3).map(|_| session(&ann())).collect();
    for info in &infos {
        register(&presence, std::slice::from_ref(info), LONG).await;
        assert!(ok(presence.is_online(&ann()).await));
    }
    for (left, info) in infos.iter().enumerate().rev() {
        unregister(&presence, &[info.key()]).await;
        assert_eq!(ok(presence.is_online(&ann()).await), left > 0);
        assert_eq!(ids(&presence, &ann()).await.len(), left);
    }
}

/// `online` answers for each identity of the question, also where it names one twice.
pub async fn online_answers_for_many_identities<P: Presence>(mut handle: impl FnMut() -> P) {
    let (here, there) = (handle(), handle());
    let identity = |n: usize| IdentityKey::new(format!("{n}")).with_tenant("acme");
    let infos: Vec<_> = (0..300).step_by(3).map(|n| session(&identity(n))).collect();
    register(&here, &infos, LONG).await;
    let mut asked: Vec<_> = (0..300).map(identity).collect();
    asked.extend([identity(0), identity(1)]);
    let answer = ok(there.online(&asked).await);
    assert!(answer.failed.is_empty(), "{:?}", answer.failed);
    for n in 0..300 {
        assert_eq!(answer.online.contains(&identity(n)), n % 3 == 0, "{n}");
    }
    assert_eq!(answer.online.len(), infos.len());
}
