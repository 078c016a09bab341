//! Reading and writing `amqp://` URLs, as RabbitMQ's "URI Specification" has them: an empty
//! path is the virtual host `/`, and in any other all but the first slash is percent-encoded.

use std::borrow::Cow;

use ::url::Url;

use crate::server::Address;
use crate::server::address::encode;

/// AMQP's port.
pub(super) const PORT: u16 = 5672;

/// The user of a broker of ours.
pub(super) const USER: &str = "testbed";

/// What a URL names: a virtual host, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    address: Address,
    user: String,
    password: String,
    host: String,
}

impl Target {
    /// The user of a broker of ours, and its first virtual host.
    pub(super) fn ours(address: Address, password: Option<&str>) -> Self {
        let password = password.unwrap_or_default().to_owned();
        Self { address, user: USER.into(), password, host: "/".into() }
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// What to tell the user; it holds no password.
    pub fn read(text: &str) -> Result<Self, String> {
        const FORM: &str = "it should look like amqp://USER:PASSWORD@HOST:PORT/VHOST";
        let url = Url::parse(text).map_err(|error| format!("{FORM}: {error}"))?;
        match url.scheme() {
            "amqp" => {}
            "amqps" => return Err("TLS is not built in; name a broker that does without".into()),
            _ => return Err(FORM.into()),
        }
        let plain = |text: &str| {
            let bytes = percent_encoding::percent_decode_str(text);
            bytes.decode_utf8().map(Cow::into_owned).map_err(|_| FORM.to_owned())
        };
        let name = url.host_str().filter(|name| !name.is_empty()).ok_or(FORM)?;
        let name = plain(name)?.trim_matches(['[', ']']).to_owned();
        let address = Address::Tcp(name, url.port().unwrap_or(PORT));
        let user = plain(url.username())?;
        let password = plain(url.password().unwrap_or_default())?;
        let host = match url.path().strip_prefix('/').filter(|host| !host.is_empty()) {
            Some(host) => plain(host)?,
            None => "/".into(),
        };
        Ok(Self { address, user, password, host })
    }

    /// The same broker, another virtual host.
    pub(super) fn at(&self, host: &str) -> Self {
        Self { host: host.into(), ..self.clone() }
    }

    /// The same virtual host, reached at another address.
    pub fn through(&self, address: Address) -> Self {
        Self { address, ..self.clone() }
    }

    /// Where the broker listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// As whom to log in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Which virtual host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The URL.
    pub fn render(&self) -> String {
        let (user, password) = (encode(&self.user), encode(&self.password));
        format!("amqp://{user}:{password}@{}/{}", self.address, encode(&self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_is_read_back() {
        for url in [
            "amqp://testbed:secret@127.0.0.1:10001/%2F",
            "amqp://shop:p%40ss%2F%3A@[::1]:5672/a%2Fb",
            "amqp://guest:guest@broker.example",
        ] {
            let target = Target::read(url).unwrap();
            assert_eq!(Target::read(&target.render()).unwrap(), target, "{url}");
        }
    }

    #[test]
    fn a_url_says_where_and_who() {
        let target = Target::read("amqp://shop:p%40ss@[::1]:6543/orders%2Feu").unwrap();
        assert_eq!(target.address, Address::Tcp("::1".into(), 6543));
        assert_eq!((target.user(), target.password()), ("shop", "p@ss"));
        assert_eq!(target.host(), "orders/eu");
        assert_eq!(Target::read("amqp://localhost").unwrap().host(), "/");
        assert_eq!(target.at("x").render(), "amqp://shop:p%40ss@[::1]:6543/x");
    }

    #[test]
    fn what_cannot_be_served_is_said() {
        for url in ["http://x/y", "nonsense", "amqps://x/y"] {
            assert!(Target::read(url).is_err(), "{url}");
        }
    }
}
