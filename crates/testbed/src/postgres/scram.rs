//! Proving that one knows a password without sending it: SCRAM-SHA-256, RFC 5802 and 7677,
//! as PostgreSQL has it (its manual, "SASL Authentication"): no channel binding, and the user
//! name of the exchange is ignored in favour of the one at the start of the session.
//!
//! The password is taken as it is. SASLprep would normalise it (RFC 4013), which changes
//! nothing about one in ASCII.

use hmac_sha256::{HMAC, Hash};

/// The name of the mechanism.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";

/// "No channel binding", which the last message repeats in base 64.
const HEADER: &str = "n,,";

/// Servers ask for 4096 rounds as a rule; one that asks for more than this keeps us busy.
const MOST_ROUNDS: u32 = 1 << 20;

/// The client's side of one exchange.
pub(super) struct Exchange {
    first: String,
    password: String,
}

/// What the client answers, and how it will know that the server knows the password too.
pub(super) struct Proof {
    /// The client's last message.
    pub(super) answer: String,
    expected: String,
}

impl Exchange {
    /// `nonce` is printable, without a comma, and never used twice.
    pub(super) fn new(password: &str, nonce: &str) -> Self {
        Self { first: format!("n=,r={nonce}"), password: password.into() }
    }

    /// The client's first message.
    pub(super) fn opening(&self) -> String {
        format!("{HEADER}{}", self.first)
    }

    /// The answer to the server's challenge, `r=<nonce>,s=<salt>,i=<rounds>`.
    pub(super) fn answer(&self, challenge: &str) -> Option<Proof> {
        let nonce = attribute(challenge, "r=")?;
        let salt = decode(attribute(challenge, "s=")?)?;
        let rounds = attribute(challenge, "i=")?.parse().ok()?;
        let ours = attribute(&self.first, "r=")?;
        // Another nonce than ours, continued, would be the answer to somebody else.
        if !nonce.starts_with(ours) || nonce.len() == ours.len() || rounds > MOST_ROUNDS {
            return None;
        }
        let bare = format!("c={},r={nonce}", encode(HEADER.as_bytes()));
        let said = format!("{},{challenge},{bare}", self.first);

        let salted = stretch(self.password.as_bytes(), &salt, rounds);
        let client = HMAC::mac(b"Client Key", salted);
        let signature = HMAC::mac(said.as_bytes(), Hash::hash(&client));
        let server = HMAC::mac(b"Server Key", salted);
        Some(Proof {
            answer: format!("{bare},p={}", encode(&xor(client, signature))),
            expected: format!("v={}", encode(&HMAC::mac(said.as_bytes(), server))),
        })
    }
}

impl Proof {
    /// Whether the server's last message shows that it knows the password.
    pub(super) fn convinces(&self, last: &str) -> bool {
        last == self.expected
    }
}

/// `Hi` of RFC 5802, section 2.2: PBKDF2 to the length of one block.
fn stretch(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    let mut block = HMAC::mac([salt, &[0, 0, 0, 1]].concat(), password);
    let mut stretched = block;
    for _ in 1..rounds {
        block = HMAC::mac(block, password);
        stretched = xor(stretched, block);
    }
    stretched
}

fn xor(mut one: [u8; 32], other: [u8; 32]) -> [u8; 32] {
    one.iter_mut().zip(other).for_each(|(one, other)| *one ^= other);
    one
}

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|part| part.strip_prefix(name))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base 64 with padding: RFC 4648, section 4.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place)) as usize & 63;
            text.push(if place <= chunk.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.trim_end_matches('=').bytes() {
        let six = ALPHABET.iter().position(|known| *known == digit)?;
        bits = bits << 6 | u32::try_from(six).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3, but for the user's name.
    #[test]
    fn the_exchange_of_the_standard() {
        let mut exchange = Exchange::new("pencil", "rOprNGfwEbeRWgbNEkqO");
        exchange.first = "n=user,r=rOprNGfwEbeRWgbNEkqO".into();
        assert_eq!(exchange.opening(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = exchange.answer(challenge).unwrap();
        assert_eq!(
            proof.answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(proof.convinces("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!proof.convinces("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="));
    }

    #[test]
    fn an_answer_to_somebody_else_is_not_taken() {
        let exchange = Exchange::new("pencil", "ours");
        for challenge in ["r=theirs,s=AAAA,i=4096", "r=ours,s=AAAA,i=4096", "r=ours1,s=?,i=1", ""] {
            assert!(exchange.answer(challenge).is_none(), "{challenge}");
        }
    }

    #[test]
    fn base_64_is_that_of_the_standard() {
        let vectors = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let encoded = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (text, expected) in vectors.iter().zip(encoded) {
            assert_eq!(encode(text.as_bytes()), expected);
            assert_eq!(decode(expected).unwrap(), text.as_bytes());
        }
    }
}
