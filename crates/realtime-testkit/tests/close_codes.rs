//! What holds between crates that know nothing of each other.

/// The two crates know nothing of each other, so each has its own rule.
#[test]
fn core_and_websocket_agree_on_which_close_codes_may_be_sent() {
    for code in 0..=u16::MAX {
        assert_eq!(
            realtime_core::CloseCode::new(code).is_ok(),
            realtime_websocket::is_sendable_close_code(code),
            "{code}"
        );
    }
}
