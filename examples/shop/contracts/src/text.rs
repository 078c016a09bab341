//! What people type, checked once.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! text {
    ($($(#[$doc:meta])* $name:ident, $least:tt to $most:tt, $pattern:tt, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, min_length = $least, max_length = $most, pattern = $pattern)]
        pub struct $name(String);

        impl $name {
            /// As it was typed, without space around it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(typed: String) -> Result<$name, String> {
                let check: fn(&str) -> Result<String, &'static str> = $check;
                // PostgreSQL cannot store NUL in a text, and nobody's name has a control
                // character in it.
                if typed.chars().any(char::is_control) {
                    return Err("control characters are not allowed".into());
                }
                let text = check(&typed)?;
                let length = text.chars().count();
                if !($least..=$most).contains(&length) {
                    let (least, most) = ($least, $most);
                    return Err(format!("{least} to {most} characters are allowed, not {length}"));
                }
                Ok($name(text))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }
    )*};
}

text! {
    /// Where mail reaches a customer. Kept in lower case, so that one person has one account.
    ///
    /// Whether it exists shows only by writing to it, so no more is asked than that it could:
    /// something, one `@`, something with a dot.
    Email, 3 to 254, r"^[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s.\x00-\x1f\x7f-\x9f]+(\.[^@\s.\x00-\x1f\x7f-\x9f]+)+$", |typed| {
        let text = typed.trim().to_lowercase();
        let (name, host) = text.split_once('@').ok_or("an address has an @")?;
        let could = !name.is_empty()
            && host.contains('.')
            && host.split('.').all(|label| !label.is_empty())
            && !host.contains('@')
            && !text.contains(char::is_whitespace);
        if could { Ok(text) } else { Err("this is not an address of the form name@host.example") }
    };
    /// What proves who a customer is.
    ///
    /// At least eight characters and nothing else, as NIST SP 800-63B advises: rules on which
    /// characters make passwords worse. The upper bound keeps hashing cheap for us.
    Password, 8 to 128, r"^[^\x00-\x1f\x7f-\x9f]+$", |typed| Ok(typed.to_owned());
    /// How a customer wants to be called.
    Name, 1 to 100, r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$", |typed| Ok(typed.trim().to_owned());
    /// What somebody looks for.
    Search, 1 to 100, r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$", |typed| Ok(typed.trim().to_lowercase());
    /// A category's name in an address.
    Slug, 1 to 40, "^[a-z0-9-]+$", |typed| {
        let may = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if typed.chars().all(may) { Ok(typed.to_owned()) } else { Err("a slug is a-z, 0-9 and -") }
    };
    /// What stands for a customer's card at the payment provider. The card's number never comes
    /// here.
    Card, 4 to 64, "^[A-Za-z0-9_]+$", |typed| {
        let may = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if typed.chars().all(may) { Ok(typed.to_owned()) } else { Err("a card's token is a-z, 0-9 and _") }
    };
    /// Made by the customer for one intent to buy, and sent again when it is tried again.
    IdempotencyKey, 8 to 64, "^[!-~]+$", |typed| {
        let may = |c: char| c.is_ascii_graphic();
        if typed.chars().all(may) { Ok(typed.to_owned()) } else { Err("visible ASCII characters only") }
    };
}

/// Whoever prints a whole order, a wish or a registration for a log prints these too, so `{:?}` does
/// not show them. To show one on purpose there is `as_str`, which a review can search for.
macro_rules! hidden {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

macro_rules! shown {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

hidden! { Password Email Name Card IdempotencyKey }
shown! { Search Slug }

#[cfg(test)]
mod tests {
    use super::{Card, Email, IdempotencyKey, Name, Password, Slug};

    fn made<T: TryFrom<String>>(text: &str) -> Option<T> {
        T::try_from(text.to_owned()).ok()
    }

    #[test]
    fn an_address_could_exist() {
        let email = made::<Email>(" Ada@Example.ORG ").expect("an address");
        assert_eq!(email.as_str(), "ada@example.org");
        for wrong in
            ["", "ada", "@", "ada@", "@b.c", "a@b", "a@b.", "a@.b", "a@b@c.d", "a b@c.d", "a@b..c"]
        {
            assert!(made::<Email>(wrong).is_none(), "{wrong}");
        }
        assert!(made::<Email>(&format!("{}@b.cd", "a".repeat(250))).is_none());
    }

    #[test]
    fn length_is_counted_in_characters_and_control_characters_are_refused() {
        assert!(made::<Name>("Ä").is_some());
        assert!(made::<Name>(" ").is_none());
        assert!(made::<Name>("a\0b").is_none());
        assert!(made::<Password>("1234567").is_none());
        assert!(made::<Password>("12345678").is_some());
        assert!(made::<Slug>("Tea").is_none());
    }

    #[test]
    fn what_is_about_a_person_or_their_money_is_not_shown() {
        let text = || "horse@stable.example".to_owned();
        assert_eq!(format!("{:?}", Password::try_from(text())), "Ok(Password(…))");
        assert_eq!(format!("{:?}", Email::try_from(text())), "Ok(Email(…))");
        assert_eq!(format!("{:?}", Name::try_from(text())), "Ok(Name(…))");
        assert_eq!(format!("{:?}", IdempotencyKey::try_from(text())), "Ok(IdempotencyKey(…))");
        assert_eq!(format!("{:?}", Card::try_from("tok_horse".to_owned())), "Ok(Card(…))");
        assert_eq!(format!("{:?}", Slug::try_from("tea".to_owned())), r#"Ok(Slug("tea"))"#);
    }
}
