//! The calls of backends that are measured.

/// A call of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "metrics"),
    allow(dead_code, reason = "only its name is wanted there")
)]
pub(crate) enum Call {
    BrokerJoin,
    BrokerLeave,
    BrokerPublish,
    BrokerSubscribe,
    HistoryAppend,
    HistoryLatest,
    HistoryPosition,
    HistoryRemove,
    HistorySince,
    PresenceNodes,
    PresenceOnline,
    PresenceRegister,
    PresenceRenew,
    PresenceSessions,
    PresenceUnregister,
    RevocationsIsRevoked,
    RevocationsRevoke,
    RevocationsSince,
    RosterChanges,
    RosterConfirm,
    RosterEnter,
    RosterLeave,
    RosterMembers,
    RosterRenew,
}

#[cfg(feature = "metrics")]
impl Call {
    /// How many there are.
    pub(super) const COUNT: usize = Self::RosterRenew as usize + 1;

    /// The backend that is called, and the name of the call.
    pub(super) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::BrokerJoin => ("broker", "join"),
            Self::BrokerLeave => ("broker", "leave"),
            Self::BrokerPublish => ("broker", "publish"),
            Self::BrokerSubscribe => ("broker", "subscribe"),
            Self::HistoryAppend => ("history", "append"),
            Self::HistoryLatest => ("history", "latest"),
            Self::HistoryPosition => ("history", "position"),
            Self::HistoryRemove => ("history", "remove"),
            Self::HistorySince => ("history", "since"),
            Self::PresenceNodes => ("presence", "nodes"),
            Self::PresenceOnline => ("presence", "online"),
            Self::PresenceRegister => ("presence", "register"),
            Self::PresenceRenew => ("presence", "renew"),
            Self::PresenceSessions => ("presence", "sessions"),
            Self::PresenceUnregister => ("presence", "unregister"),
            Self::RevocationsIsRevoked => ("revocations", "is_revoked"),
            Self::RevocationsRevoke => ("revocations", "revoke"),
            Self::RevocationsSince => ("revocations", "since"),
            Self::RosterChanges => ("roster", "changes"),
            Self::RosterConfirm => ("roster", "confirm"),
            Self::RosterEnter => ("roster", "enter"),
            Self::RosterLeave => ("roster", "leave"),
            Self::RosterMembers => ("roster", "members"),
            Self::RosterRenew => ("roster", "renew"),
        }
    }
}
