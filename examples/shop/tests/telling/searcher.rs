//! Finds what must not be told, in whatever was told.

use std::collections::BTreeSet;

/// How much of the text around a find is shown.
const AROUND: usize = 80;

/// What must not be told, each with what it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Searcher {
    wanted: BTreeSet<(String, &'static str)>,
}

impl Searcher {
    /// `secret` is `what`, and must not be told: neither as it is, nor in other letters, nor as it
    /// stands in an address.
    pub(crate) fn add(&mut self, what: &'static str, secret: &str) {
        assert!(secret.len() >= 8, "`{secret}` is found by chance");
        let plain = secret.to_lowercase();
        let in_an_address = plain.replace('@', "%40").replace(' ', "%20");
        let in_a_query = plain.replace('@', "%40").replace(' ', "+");
        for form in [plain, in_an_address, in_a_query] {
            self.wanted.insert((form, what));
        }
    }

    /// A token, and the parts of it that are worth as much: what it says, and the signature.
    pub(crate) fn add_token(&mut self, token: &str) {
        for part in token.split('.').skip(1) {
            self.add("token", part);
        }
    }

    /// What of it stands in `text`: what it is, with what stands around it, once each.
    pub(crate) fn find(&self, place: &str, text: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(text).to_lowercase();
        let found = self.wanted.iter().filter_map(|(secret, what)| {
            let at = text.find(secret.as_str())?;
            let from = text.floor_char_boundary(at.saturating_sub(AROUND));
            let to = text.ceil_char_boundary(at + secret.len() + AROUND);
            Some(format!("{place}: the {what} `{secret}` in … {} …", &text[from..to]))
        });
        found.collect()
    }
}

fn searcher() -> Searcher {
    let mut searcher = Searcher::default();
    searcher.add("email", "Ada@Customers.Example");
    searcher.add("name", "Ada Hidden-Lovelace");
    searcher.add("card", "tok_ok_of_ada");
    searcher.add_token("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl");
    searcher
}

#[test]
fn what_is_planted_is_found() {
    for (planted, what) in [
        (r#"{"message":"no mailbox ada@customers.example"}"#, "email"),
        (r#"{"fields":{"to":"ADA@customers.example"}}"#, "email"),
        ("url.path\u{12}/api/products/ada%40customers.example", "email"),
        ("up{name=\"Ada Hidden-Lovelace\"} 1", "name"),
        ("GET /api/products?q=ada+hidden-lovelace", "name"),
        ("Card(\"tok_ok_of_ada\")", "card"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.AAAA", "token"),
        ("a signature alone: c2lnbmF0dXJl", "token"),
    ] {
        let found = searcher().find("a line", planted.as_bytes());
        assert_eq!(found.len(), 1, "in {planted}: {found:?}");
        assert!(found[0].contains(&format!("a line: the {what} ")), "{found:?}");
    }
    // Also among bytes that are no text, as in a message of protobuf.
    let message = [b"\xff\x0a\x80".as_slice(), b"tok_ok_of_ada", b"\x00\xfe"].concat();
    assert_eq!(searcher().find("a message", &message).len(), 1);
}

#[test]
fn what_is_no_secret_is_not_found() {
    let text =
        b"tok_ok is a card of everybody's, ada is a name, eyJhbGciOiJIUzI1NiJ9 begins them all";
    assert_eq!(searcher().find("a line", text), Vec::<String>::new());
}
