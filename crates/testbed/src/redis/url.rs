//! Writing a URL that the client reads back to the same address, database and credentials.

use std::fmt::Write;

use ::redis::{ProtocolVersion, RedisConnectionInfo};

use crate::server::Address;
use crate::server::address::encode;

/// The URL of `address` with the database, credentials and protocol of `settings`.
pub(crate) fn render(address: &Address, settings: &RedisConnectionInfo) -> String {
    let username = settings.username().map(encode).unwrap_or_default();
    let password = settings.password().map(encode);
    let database = settings.db();
    let resp3 = !matches!(settings.protocol(), ProtocolVersion::RESP2);
    match address {
        Address::Tcp(..) => {
            let login = password.map(|password| format!("{username}:{password}@"));
            let query = if resp3 { "?protocol=resp3" } else { "" };
            format!("redis://{}{address}/{database}{query}", login.unwrap_or_default())
        }
        Address::Unix(path) => {
            let mut url = format!("redis+unix://{}?db={database}", path.display());
            if !username.is_empty() {
                let _ = write!(url, "&user={username}");
            }
            if let Some(password) = password {
                let _ = write!(url, "&pass={password}");
            }
            if resp3 {
                url += "&protocol=resp3";
            }
            url
        }
    }
}

#[cfg(test)]
mod tests {
    use ::redis::IntoConnectionInfo;

    use super::*;

    #[test]
    fn the_client_reads_back_what_was_rendered() {
        for original in [
            "redis://127.0.0.1:6380/3",
            "redis://user:p%40ss%2F%3A%20word@[::1]:6379/0?protocol=resp3",
            "redis://:secret@db.example:6379/15",
        ] {
            let settings = original.into_connection_info().unwrap().redis_settings().clone();
            for address in
                [Address::Unix("/tmp/room/redis.sock".into()), Address::Tcp("::1".into(), 7)]
            {
                let url = render(&address, &settings);
                let read = url.as_str().into_connection_info().expect(&url);
                let read = read.redis_settings();
                assert_eq!(read.db(), settings.db(), "{url}");
                assert_eq!(read.username(), settings.username(), "{url}");
                assert_eq!(read.password(), settings.password(), "{url}");
                assert_eq!(read.protocol(), settings.protocol(), "{url}");
            }
        }
    }
}
