//! Refresh tokens: each is good once, and is answered with the next one of its login. One that comes
//! a second time has been stolen, before or after its owner used it, and ends the login.
//!
//! Kept in this process, as hashes. Where there is a database, this is what it replaces.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How long somebody stays signed in.
pub(crate) const LIFE: Duration = Duration::from_secs(7 * 86_400);
/// How many logins a user may have at once: of more, the oldest is forgotten.
const MOST: usize = 20;

/// One browser that somebody has signed in with.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) id: Uuid,
    pub(crate) since: SystemTime,
    /// Of the secret in the one refresh token that is good.
    hash: [u8; 32],
}

/// Why a refresh token is not good.
pub(crate) enum Wrong {
    Unknown,
    /// It was good once. None is good any more, and the login is for the caller to revoke and
    /// [end](Logins::end); until then each further one says so again.
    Reused(Login),
}

/// By what refresh tokens begin with. That is not the login's id, which stands in access tokens: only
/// who had a refresh token can end a login by another one.
#[derive(Default)]
pub(crate) struct Logins(Mutex<HashMap<Uuid, Login>>);

impl Logins {
    /// A login that begins now, and its first refresh token.
    pub(crate) fn begin(&self, user: String) -> (Login, String) {
        let now = SystemTime::now();
        let (family, secret) = (Uuid::new_v4(), Uuid::new_v4());
        let login = Login {
            user,
            id: Uuid::new_v4(),
            since: now,
            hash: hash(&secret.to_string()),
        };
        let mut kept = self.lock();
        kept.retain(|_, login| !login.has_ended(now));
        let mine = kept.iter().filter(|(_, other)| other.user == login.user);
        let mut mine: Vec<_> = mine.map(|(family, login)| (login.since, *family)).collect();
        mine.sort_unstable();
        let too_many = (mine.len() + 1).saturating_sub(MOST);
        for (_, oldest) in mine.into_iter().take(too_many) {
            kept.remove(&oldest);
        }
        kept.insert(family, login.clone());
        (login, format!("{family}.{secret}"))
    }

    /// The next refresh token, and the moment of the change: no access token of it may say that it
    /// was issued later than that, or it might outlive a [`end_others`](Self::end_others).
    pub(crate) fn rotate(&self, token: &str) -> Result<(Login, SystemTime, String), Wrong> {
        let mut kept = self.lock();
        let family = find(&mut kept, token)?;
        let login = kept.get_mut(&family).ok_or(Wrong::Unknown)?;
        let secret = Uuid::new_v4();
        login.hash = hash(&secret.to_string());
        let next = format!("{family}.{secret}");
        Ok((login.clone(), SystemTime::now(), next))
    }

    /// Whose refresh token it is. It stays good.
    pub(crate) fn whose(&self, token: &str) -> Result<Login, Wrong> {
        let mut kept = self.lock();
        let family = find(&mut kept, token)?;
        kept.get(&family).cloned().ok_or(Wrong::Unknown)
    }

    pub(crate) fn end(&self, login: &Login) {
        self.lock().retain(|_, other| other.id != login.id);
    }

    /// Ends those of the same user.
    pub(crate) fn end_others(&self, login: &Login) {
        let mut kept = self.lock();
        kept.retain(|_, other| other.user != login.user || other.id == login.id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Login>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Login {
    fn has_ended(&self, now: SystemTime) -> bool {
        now.duration_since(self.since).is_ok_and(|age| age >= LIFE)
    }
}

/// What the token begins with, if it is good.
fn find(kept: &mut HashMap<Uuid, Login>, token: &str) -> Result<Uuid, Wrong> {
    let (family, secret) = token.split_once('.').ok_or(Wrong::Unknown)?;
    let family = Uuid::try_parse(family).map_err(|_| Wrong::Unknown)?;
    let login = kept.get_mut(&family).ok_or(Wrong::Unknown)?;
    if login.has_ended(SystemTime::now()) {
        return Err(Wrong::Unknown);
    }
    if login.hash != hash(secret) {
        // That of nothing that anybody could show.
        login.hash = [0; 32];
        return Err(Wrong::Reused(login.clone()));
    }
    Ok(family)
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "a test fails by a panic")]

    use super::*;

    #[test]
    fn a_token_is_good_once_and_a_second_time_ends_the_login() {
        let logins = Logins::default();
        let (login, first) = logins.begin("ada".to_owned());
        let (_, other) = logins.begin("ada".to_owned());
        let Ok((same, _, second)) = logins.rotate(&first) else {
            panic!("the first token is good");
        };
        assert_eq!(same.id, login.id);
        let Err(Wrong::Reused(ended)) = logins.rotate(&first) else {
            panic!("it was used twice");
        };
        assert_eq!(ended.id, login.id);
        assert!(matches!(logins.rotate(&second), Err(Wrong::Reused(_))));
        logins.end(&ended);
        for gone in [&*second, &*first, "", "nonsense", &login.id.to_string()] {
            assert!(matches!(logins.rotate(gone), Err(Wrong::Unknown)), "{gone}");
        }
        assert!(logins.rotate(&other).is_ok());
    }

    #[test]
    fn of_too_many_logins_the_oldest_is_forgotten_and_old_ones_end() {
        let logins = Logins::default();
        let tokens: Vec<_> = (0..=MOST)
            .map(|_| logins.begin("ada".to_owned()).1)
            .collect();
        let bobs = logins.begin("bob".to_owned()).1;
        assert!(logins.whose(&tokens[0]).is_err());
        let Ok(login) = logins.whose(&tokens[1]) else {
            panic!("there is room for this one");
        };
        logins.end_others(&login);
        assert!(logins.whose(&tokens[2]).is_err() && logins.whose(&bobs).is_ok());
        for login in logins.lock().values_mut() {
            login.since -= LIFE;
        }
        assert!(matches!(logins.whose(&tokens[1]), Err(Wrong::Unknown)));
        logins.begin("eve".to_owned());
        assert_eq!(logins.lock().len(), 1);
    }
}
