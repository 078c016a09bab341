//! A connection to Redis that may be lost without anybody waiting for it.
//!
//! The defaults of the redis crate suit a program that cannot work without Redis: they retry a
//! lost connection six times, each later than the last, while every command waits. The patterns of
//! this house know better what to do meanwhile: a cache asks the database, a limiter opens or
//! closes as it was told to, a lock waits in its own way. So here a command fails fast, and the
//! connection comes back behind its back:
//!
//! - No connection is made before the first command, so the program starts while Redis is down.
//! - A lost connection is tried again by the next command, once, with no pause in between.
//! - RESP3 lets the manager see a closed connection at once. With RESP2 it learns of it by the
//!   failure of the next command. So this asks for Redis 6 or later; an older one refuses every
//!   command, which its caller takes for "out of reach".
//!
//! Source: the documentation of [`redis::aio::ConnectionManager`].

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, IntoConnectionInfo, ProtocolVersion, RedisResult};
use std::time::Duration;

/// A lazy, self-healing connection whose every command ends within twice `timeout`: once for
/// connecting, once for the answer.
///
/// The timeout bounds waiting, not the server: a command that timed out may still be carried out.
///
/// # Errors
/// Only for a `url` that cannot be read. Whether Redis is there shows at the first command.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn open(url: &str, timeout: Duration) -> RedisResult<ConnectionManager> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = Client::open(info.set_redis_settings(settings))?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout))
        .set_number_of_retries(0)
        // The crate's default of 50 makes the 51st concurrent command wait for a place.
        .set_pipeline_buffer_size(1024);
    ConnectionManager::new_lazy_with_config(client, config)
}
