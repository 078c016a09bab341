//! Passwords, kept as Argon2id with the parameters that OWASP advises (19 MiB, two passes):
//! <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>.
//!
//! A hash is slow on purpose, and wants its 19 MiB. So one is made at a time, on a thread for what
//! blocks, in memory that is kept for the next one: whoever sends a thousand logins fills neither
//! our memory nor the threads of others. Memory that is asked for and given back each time would
//! stay with the allocator, once for each of its arenas.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::rand_core::{CryptoRng, Error, RngCore};
use argon2::password_hash::{Output, PasswordHash, SaltString};
use argon2::{ARGON2ID_IDENT, Argon2, Block, Params, Version};
use rand::TryRng;
use rand::rngs::SysRng;
use shop_contracts::text::Password;
use tokio::sync::Semaphore;

/// Hashes passwords, and compares them with hashes. Clones share its one turn.
#[derive(Clone)]
pub struct Passwords {
    turn: Arc<Semaphore>,
    room: Arc<Mutex<Room>>,
    hashes: Arc<AtomicU64>,
}

/// Where a hash is made.
#[derive(Default)]
struct Room {
    blocks: Vec<Block>,
    hashes: Arc<AtomicU64>,
}

impl Default for Passwords {
    fn default() -> Passwords {
        let room = Room::default();
        let hashes = Arc::clone(&room.hashes);
        Passwords { turn: Arc::new(Semaphore::new(1)), room: Arc::new(Mutex::new(room)), hashes }
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords(…)")
    }
}

impl Passwords {
    /// What to keep of a password: salt, parameters and hash in one text (PHC string format).
    pub async fn hash(&self, password: &Password) -> String {
        let password = password.as_str().to_owned();
        self.at_turn(move |room| {
            let salt = SaltString::generate(&mut System);
            let params = Params::default();
            let kept = PasswordHash {
                algorithm: ARGON2ID_IDENT,
                version: Some(Version::default().into()),
                hash: output(password.as_bytes(), &salt, &params, room),
                params: (&params).try_into().expect("the default parameters can be written down"),
                salt: Some(salt.as_salt()),
            };
            kept.to_string()
        })
        .await
    }

    /// Whether `password` is the one of which `kept` was kept; never where nothing was. Takes as
    /// long either way, so that a clock does not tell which accounts there are.
    pub async fn fits(&self, password: &Password, kept: Option<String>) -> bool {
        let password = password.as_str().to_owned();
        self.at_turn(move |room| {
            let kept = kept.as_deref().and_then(|kept| PasswordHash::new(kept).ok());
            let params = kept.as_ref().and_then(|kept| Params::try_from(kept).ok());
            let salt =
                kept.as_ref().and_then(|kept| SaltString::from_b64(kept.salt?.as_str()).ok());
            let nobody = || SaltString::generate(&mut System);
            let hash = output(
                password.as_bytes(),
                &salt.unwrap_or_else(nobody),
                &params.unwrap_or_default(),
                room,
            );
            // `Output` compares in constant time.
            kept.is_some_and(|kept| kept.hash.is_some() && kept.hash == hash)
        })
        .await
    }

    /// How many hashes were computed since this was made: one for each password that was to be
    /// kept, and one for each comparison.
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    async fn at_turn<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&mut Room) -> T + Send + 'static,
    {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        let room = Arc::clone(&self.room);
        let done = tokio::task::spawn_blocking(move || {
            // Given back by the work, and not by who waits for it: they may give up, and the work
            // goes on. In a flood, each who gives up would leave a thread behind.
            let _turn = turn;
            work(&mut room.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match done.await {
            Ok(done) => done,
            Err(lost) => std::panic::resume_unwind(lost.into_panic()),
        }
    }
}

/// Nothing for parameters that are out of Argon2's bounds.
fn output(password: &[u8], salt: &SaltString, params: &Params, room: &mut Room) -> Option<Output> {
    let argon2 = Argon2::new(argon2::Algorithm::Argon2id, Version::default(), params.clone());
    let mut bytes = [0; 64];
    let salt = salt.as_salt().decode_b64(&mut bytes).ok()?;
    let needed = params.block_count().max(room.blocks.len());
    room.blocks.resize(needed, Block::default());
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    Output::init_with(length, |output| {
        room.hashes.fetch_add(1, Ordering::Relaxed);
        Ok(argon2.hash_password_into_with_memory(password, salt, output, &mut room.blocks[..])?)
    })
    .ok()
}

/// The system's random source, in the words of the version that argon2 speaks.
struct System;

impl RngCore for System {
    fn next_u32(&mut self) -> u32 {
        SysRng.try_next_u32().expect("the system has random numbers")
    }

    fn next_u64(&mut self) -> u64 {
        SysRng.try_next_u64().expect("the system has random numbers")
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        SysRng.try_fill_bytes(bytes).expect("the system has random numbers");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for System {}

#[cfg(test)]
mod tests {
    use super::Passwords;
    use shop_contracts::text::Password;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let password = |text: &str| Password::try_from(text.to_owned()).expect("a password");
        let passwords = Passwords::default();
        let right = password("correct horse");
        let kept = passwords.hash(&right).await;
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, passwords.hash(&right).await, "each has a salt of its own");
        assert!(passwords.fits(&right, Some(kept.clone())).await);
        assert!(!passwords.fits(&password("correct house"), Some(kept)).await);
        assert!(!passwords.fits(&password("nobody has this"), None).await);
        assert!(!passwords.fits(&right, Some("not a hash".into())).await);
    }

    #[tokio::test]
    async fn who_gives_up_keeps_the_turn_until_the_work_is_done() {
        let password = Password::try_from("correct horse".to_owned()).expect("a password");
        for _ in 0..20 {
            let passwords = Passwords::default();
            let asking = tokio::spawn({
                let (passwords, password) = (passwords.clone(), password.clone());
                async move { passwords.hash(&password).await }
            });
            while passwords.hashes() == 0 {
                tokio::task::yield_now().await;
            }
            asking.abort();
            assert!(asking.await.is_err_and(|error| error.is_cancelled()));
            let free = passwords.turn.available_permits();
            if passwords.room.try_lock().is_err() {
                assert_eq!(free, 0, "the next one would wait on a thread, and not for its turn");
                return;
            }
            // On a machine that stood still, the hash was over before it was looked at.
        }
        panic!("nothing is proved: each hash was over before it was given up");
    }

    /// A clock in a test would tell how busy the machine is. What takes the time is counted instead.
    #[tokio::test]
    async fn where_there_is_no_account_the_same_work_is_done() {
        let password = Password::try_from("correct horse".to_owned()).expect("a password");
        let passwords = Passwords::default();
        let kept = passwords.hash(&password).await;
        for kept in [Some(kept), None] {
            let before = passwords.hashes();
            passwords.fits(&password, kept).await;
            assert_eq!(passwords.hashes() - before, 1);
        }
    }
}
