//! What stands beside the data of a queue, and to whose account a frame is put.

use bytes::Bytes;

/// To whose account a frame is put.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Account {
    /// Pings and the like: bounded in number.
    #[default]
    Control,
    Policy,
    /// Outside the policy: neither counted among its messages nor dropped.
    Reply,
}

/// What stands beside the data: at most one of each.
#[derive(Debug, Default)]
pub(super) struct Controls {
    /// What is left of a frame that the socket accepted in part. It is never dropped, and no
    /// longer one of the messages that wait, but its bytes are still in their account.
    pub(super) partial: Bytes,
    /// Whose the partial frame is.
    pub(super) account: Account,
    pub(super) pong: Bytes,
    pub(super) ping: Bytes,
    pub(super) notice: Bytes,
    pub(super) close: Bytes,
    /// Messages dropped since the last gap notice.
    pub(super) missed: u64,
    /// How many messages the gap notice that waits counts.
    pub(super) noticed: u64,
}

pub(super) static NO_CONTROLS: Controls = Controls {
    partial: Bytes::new(),
    account: Account::Control,
    pong: Bytes::new(),
    ping: Bytes::new(),
    notice: Bytes::new(),
    close: Bytes::new(),
    missed: 0,
    noticed: 0,
};

impl Controls {
    #[inline]
    pub(super) fn all(&self) -> [&Bytes; 5] {
        [
            &self.partial,
            &self.pong,
            &self.ping,
            &self.notice,
            &self.close,
        ]
    }

    /// The bytes that are on no other account.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        let all: usize = self.all().iter().map(|frame| frame.len()).sum();
        all - self.partial_bytes(Account::Policy) - self.partial_bytes(Account::Reply)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.missed == 0 && self.all().iter().all(|frame| frame.is_empty())
    }

    /// What is left of the partial frame, if it is on this account.
    #[inline]
    pub(super) fn partial_bytes(&self, account: Account) -> usize {
        if self.account == account {
            self.partial.len()
        } else {
            0
        }
    }

    #[inline]
    pub(super) fn set_partial(&mut self, rest: Bytes, account: Account) {
        (self.partial, self.account) = (rest, account);
    }
}
