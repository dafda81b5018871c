//! The signals that end a server are listened to from the call on.

use std::process::{Command, id};

use realtime_testkit::wait::within;

#[cfg(unix)]
#[tokio::test]
async fn one_that_comes_before_anybody_waits_for_it_is_not_missed() {
    for name in ["-TERM", "-INT"] {
        let signal = realtime::shutdown_signal();
        let sent = Command::new("kill")
            .args([name, &id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        within("its arrival", signal).await;
    }
}
