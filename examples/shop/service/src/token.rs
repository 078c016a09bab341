//! Tokens: who is asking, signed by us, RFC 7519.
//!
//! HMAC with SHA-256 and nothing else. An attacker who may choose the algorithm chooses `none`, or
//! has a public key taken for a shared secret (<https://www.rfc-editor.org/rfc/rfc8725#section-2.1>);
//! here no other algorithm is even linked.

use std::time::Duration;

use hmac::{Hmac, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use shop_contracts::id::CustomerId;
use shop_contracts::users::Role;
use shop_contracts::{Kind, Problem};
use signature::{Error as Mismatch, Signer, Verifier};

/// How long a token is good.
pub const LIFE: Duration = Duration::from_secs(3600);

/// Signs tokens and reads them. Clones have the same secret.
#[derive(Clone)]
pub struct Tokens {
    sign: EncodingKey,
    read: DecodingKey,
}

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The customer.
    pub sub: CustomerId,
    /// What they may do.
    pub role: Role,
    /// Until when, in seconds since 1970.
    pub exp: u64,
}

impl Tokens {
    /// Signed with `secret`, of at least 32 bytes: as many as the hash has.
    pub fn new(secret: &[u8]) -> Tokens {
        // The second time in a process it is there already.
        let _ = HS256.install_default();
        Tokens { sign: EncodingKey::from_secret(secret), read: DecodingKey::from_secret(secret) }
    }

    /// A secret that nobody can guess.
    pub fn secret() -> [u8; 32] {
        let mut secret = [0; 32];
        SysRng.try_fill_bytes(&mut secret).expect("the system has random numbers");
        secret
    }

    /// A token for `customer`, good for `life`.
    pub fn issue(&self, customer: CustomerId, role: Role, life: Duration) -> String {
        let exp = jsonwebtoken::get_current_timestamp() + life.as_secs();
        let claims = Claims { sub: customer, role, exp };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("claims are JSON, and the key is for this algorithm")
    }

    /// Who it speaks for.
    ///
    /// # Errors
    /// [`Kind::Unauthorized`] for a token that is forged, garbled or past its end. Which of them
    /// it was is said: it helps the honest, and the others know.
    pub fn read(&self, token: &str) -> std::result::Result<Claims, Problem> {
        let mut validation = Validation::new(Algorithm::HS256);
        // Signed and read by the same clocks: no leeway.
        validation.leeway = 0;
        jsonwebtoken::decode::<Claims>(token, &self.read, &validation)
            .map(|token| token.claims)
            .map_err(|error| {
                let detail = match error.kind() {
                    ErrorKind::ExpiredSignature => "the token has ended: log in again",
                    ErrorKind::InvalidSignature => "the token was not signed here",
                    _ => "this is not a token of ours",
                };
                Problem::new(Kind::Unauthorized, detail).at("header.authorization", detail)
            })
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

static HS256: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256::new(key.as_bytes())?)),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256::new(key.try_get_as_bytes()?)?)),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(secret: &[u8]) -> Result<Hs256> {
        let hmac = Hmac::new_from_slice(secret).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Hs256(hmac))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Mismatch> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> std::result::Result<(), Mismatch> {
        // In constant time: how far a guess was right must not show in how long this takes.
        self.0.clone().chain_update(message).verify_slice(given).map_err(|_| Mismatch::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use super::{CustomerId, LIFE, Role, Tokens};
    use std::time::Duration;

    #[test]
    fn a_token_says_who_is_asking() {
        let tokens = Tokens::new(&Tokens::secret());
        let customer = CustomerId::new();
        let read = tokens.read(&tokens.issue(customer, Role::Staff, LIFE)).expect("ours");
        assert_eq!((read.sub, read.role), (customer, Role::Staff));
    }

    #[test]
    fn what_is_forged_ended_or_garbled_is_refused() {
        let tokens = Tokens::new(&Tokens::secret());
        let customer = CustomerId::new();
        let told = |token: &str| tokens.read(token).expect_err(token).detail.expect("a detail");

        let ended = tokens.issue(customer, Role::Customer, Duration::ZERO);
        std::thread::sleep(Duration::from_millis(1100));
        assert!(told(&ended).contains("ended"));

        let forged = Tokens::new(&Tokens::secret()).issue(customer, Role::Staff, LIFE);
        assert!(told(&forged).contains("not signed here"));

        let good = tokens.issue(customer, Role::Customer, LIFE);
        let (head, rest) = good.split_once('.').expect("three parts");
        let (claims, signature) = rest.split_once('.').expect("three parts");
        // {"alg":"none","typ":"JWT"} and {"alg":"HS384","typ":"JWT"}
        for other in ["eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9"]
        {
            told(&format!("{other}.{claims}.{signature}"));
            told(&format!("{other}.{claims}."));
        }
        let swapped: String = claims.chars().rev().collect();
        told(&format!("{head}.{swapped}.{signature}"));
        for garbled in ["", ".", "..", "a.b.c", &good[..good.len() - 2]] {
            told(garbled);
        }
    }
}
