//! Passwords, kept as Argon2id with the parameters that OWASP advises (19 MiB, two passes):
//! <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>.
//!
//! A hash is slow on purpose. So it runs on a thread of its own, and no more than two at a time:
//! whoever sends a thousand logins fills neither our memory nor the threads of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::Argon2;
use argon2::password_hash::rand_core::{CryptoRng, Error, RngCore};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use rand::TryRng;
use rand::rngs::SysRng;
use shop_contracts::text::Password;
use tokio::sync::Semaphore;

/// Hashes passwords, and compares them with hashes. Clones share its limit and its count.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Compared with where there is no account, so that a clock does not tell which there are.
    nobody: Arc<str>,
    hashes: Arc<AtomicU64>,
}

impl Default for Passwords {
    fn default() -> Passwords {
        Passwords {
            turns: Arc::new(Semaphore::new(2)),
            nobody: hash(b"nobody has this").into(),
            hashes: Arc::default(),
        }
    }
}

impl Passwords {
    /// What to keep of a password: salt, parameters and hash in one text (PHC string format).
    pub async fn hash(&self, password: &Password) -> String {
        let password = password.as_str().to_owned();
        self.hashes.fetch_add(1, Ordering::Relaxed);
        self.at_turn(move || hash(password.as_bytes())).await
    }

    /// Whether `password` is the one of which `kept` was kept; never where nothing was. Takes as
    /// long either way.
    pub async fn fits(&self, password: &Password, kept: Option<String>) -> bool {
        let password = password.as_str().to_owned();
        let known = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.to_string());
        let hashes = Arc::clone(&self.hashes);
        let fits = move || match PasswordHash::new(&kept) {
            Ok(kept) => {
                hashes.fetch_add(1, Ordering::Relaxed);
                Argon2::default().verify_password(password.as_bytes(), &kept).is_ok()
            }
            Err(_) => false,
        };
        self.at_turn(fits).await && known
    }

    /// How many hashes were computed since this was made: one for each password that was to be kept,
    /// and one for each comparison.
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    async fn at_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(lost) => std::panic::resume_unwind(lost.into_panic()),
        }
    }
}

fn hash(password: &[u8]) -> String {
    let salt = SaltString::generate(&mut System);
    let hash = Argon2::default().hash_password(password, &salt);
    hash.expect("these parameters are valid, and so is a generated salt").to_string()
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

    /// A clock in a test would tell how busy the machine is. What takes the time is counted instead.
    #[tokio::test]
    async fn where_there_is_no_account_the_same_work_is_done() {
        let password = Password::try_from("correct horse".to_owned()).expect("a password");
        let passwords = Passwords::default();
        let kept = passwords.hash(&password).await;
        let work = |hash: &str| hash.rsplitn(3, '$').nth(2).map(str::to_owned);
        assert_eq!(work(&passwords.nobody), work(&kept), "function, version and parameters");
        for kept in [Some(kept), None] {
            let before = passwords.hashes();
            passwords.fits(&password, kept).await;
            assert_eq!(passwords.hashes() - before, 1);
        }
    }
}
