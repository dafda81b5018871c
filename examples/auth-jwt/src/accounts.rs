//! Who has which password. Where there is a database of users, this is what it replaces.

use std::{collections::HashMap, sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{Error, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::{sync::Semaphore, time::timeout};

/// Each takes 19 MiB and a core for a while: whatever comes at once, no more than this.
const AT_ONCE: usize = 2;
/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(3);
/// In bytes.
const LONGEST_PASSWORD: usize = 1024;

/// So many want to sign in that it can't be found out now.
pub(crate) struct Busy;

pub(crate) struct Accounts {
    hashes: HashMap<String, PasswordHash>,
    /// Of a password that nobody has.
    decoy: PasswordHash,
    turns: Arc<Semaphore>,
}

impl Accounts {
    pub(crate) fn new(users: &[(&str, &str)]) -> Result<Self, Box<dyn std::error::Error>> {
        let hash = |password: &str| Argon2::default().hash_password(password.as_bytes());
        let hashes = users.iter().map(|(name, password)| {
            let hash: PasswordHash = hash(password)?;
            Ok(((*name).to_owned(), hash))
        });
        Ok(Self {
            hashes: hashes.collect::<Result<_, Error>>()?,
            decoy: hash(&crate::access::random()?)?,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Whether it is this user's password.
    pub(crate) async fn know(&self, user: &str, password: String) -> Result<bool, Busy> {
        if password.len() > LONGEST_PASSWORD {
            return Ok(false);
        }
        let turn = timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let hash = self.hash_of(user).clone();
        // It computes for a while, and sessions live on the runtime's threads.
        let checked = tokio::task::spawn_blocking(move || {
            let checked = Argon2::default().verify_password(password.as_bytes(), &hash);
            // Held until here, also where nobody waits for it any more.
            drop(turn);
            checked.is_ok()
        });
        checked.await.map_err(|_| Busy)
    }

    /// Who is unknown takes as long as who is not: nobody learns who has an account.
    fn hash_of(&self, user: &str) -> &PasswordHash {
        self.hashes.get(user).unwrap_or(&self.decoy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_one_users_and_an_unknown_user_costs_as_much() {
        let accounts = Accounts::new(&[("ada", "correct horse"), ("bob", "battery")]).unwrap();
        for (user, password, is_right) in [
            ("ada", "correct horse", true),
            ("ada", "battery", false),
            ("ada", "", false),
            ("eve", "correct horse", false),
        ] {
            let known = accounts.know(user, password.to_owned()).await;
            assert_eq!(known.ok(), Some(is_right), "{user} {password}");
        }
        let (ada, eve) = (accounts.hash_of("ada"), accounts.hash_of("eve"));
        assert_eq!((ada.algorithm, &ada.params), (eve.algorithm, &eve.params));
        assert_ne!(accounts.hash_of("bob").salt, ada.salt);
    }
}
