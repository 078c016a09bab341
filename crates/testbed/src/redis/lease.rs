//! One logical database of a shared Redis, leased.
//!
//! A shared server may hold anything, so nothing of others is ever touched: only a database
//! that is empty is taken, by one key, [`OWNER`], whose value is `<token> <deadline>`, the
//! deadline in milliseconds of the server's clock. The holder moves the deadline on every
//! [`RENEWAL`]. The key never expires: a database that carries it with a deadline in the past
//! was left behind by a test that was killed, and may be emptied and taken. On drop the
//! database is emptied, if it is still ours.
//!
//! A fixed lock in one shared database would leave the leased one truly empty, but would
//! write into a database that may be somebody's.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ::redis::{Client, Connection, ConnectionInfo, RedisError, Script};

/// The key by which a database is ours.
pub const OWNER: &str = "testbed:owner";

/// How long a database stays taken after its holder died.
pub const TERM: Duration = Duration::from_secs(60);

/// How often the holder moves its deadline: two renewals may fail.
pub const RENEWAL: Duration = Duration::from_secs(20);

/// How long dropping waits for the database to be emptied.
const FAREWELL: Duration = Duration::from_millis(40);

/// Takes the database where it is empty or abandoned. Deciding and taking must be one step,
/// hence a script; TIME is the server's, so that clocks need not agree.
const TAKE: &str = "
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local held = redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1])
if held then
  local token, deadline = string.match(held, '^(%S+) (%d+)$')
  if not deadline then return 0 end
  if token ~= ARGV[1] and tonumber(deadline) > now then return 0 end
  if token ~= ARGV[1] then redis.call('FLUSHDB') end
elseif redis.call('DBSIZE') > 0 and ARGV[3] ~= 'again' then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. string.format('%.0f', now + ARGV[2]))
return 1";

/// Empties the database if it is ours.
const FLUSH: &str = "
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%S+') ~= ARGV[1] then return 0 end
redis.call('FLUSHDB')
if ARGV[2] == 'keep' and held then redis.call('SET', KEYS[1], held) end
return 1";

/// A logical database, ours until this is dropped.
#[derive(Debug)]
pub struct Lease {
    database: i64,
    token: String,
    /// Dropping it tells the renewing thread to clean up.
    end: Option<Sender<()>>,
    /// In a mutex only to make the lease `Sync`.
    ended: Mutex<Receiver<()>>,
}

/// Why no database could be leased.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The URL names a database that holds keys of others, or is leased.
    #[error("database {0} is in use; only an empty one is taken")]
    InUse(i64),
    /// None of the server's databases is empty and free.
    #[error("all {0} databases are in use; only an empty one is taken")]
    Full(i64),
    /// The server did not answer, or refused.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

impl Lease {
    /// Takes the database that `info` names, or the first free one where it names none (0).
    /// Blocks for some round trips.
    ///
    /// # Errors
    /// [`Refused`]; nothing was changed.
    pub fn take(info: &ConnectionInfo) -> Result<Self, Refused> {
        let client = super::recipe::open(info.clone())?;
        let mut connection = super::recipe::connect(&client, super::PATIENCE)?;
        let token = token(&mut connection)?;
        let named = info.redis_settings().db();
        let databases = if named == 0 { count(&mut connection) } else { 1 };
        for database in (0..databases).map(|offset| named + offset) {
            if attempt(&mut connection, database, &token, "")? {
                return Ok(Self::renewed(info, database, token)?);
            }
        }
        Err(if named == 0 { Refused::Full(databases) } else { Refused::InUse(named) })
    }

    /// The number of the database.
    pub fn database(&self) -> i64 {
        self.database
    }

    /// What tells this lease from all others.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    fn renewed(info: &ConnectionInfo, database: i64, token: String) -> Result<Self, RedisError> {
        let settings = info.redis_settings().clone().set_db(database);
        let client = super::recipe::open(info.clone().set_redis_settings(settings))?;
        let (end, until) = channel();
        let (done, ended) = channel();
        let name = token.clone();
        std::thread::Builder::new().name("testbed-lease".into()).spawn(move || {
            renew(&client, database, &name, &until);
            let _ = super::recipe::connect(&client, super::PATIENCE)
                .and_then(|mut connection| empty(&mut connection, &name, "give up"));
            let _ = done.send(());
        })?;
        Ok(Self { database, token, end: Some(end), ended: Mutex::new(ended) })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end = None;
        if let Ok(ended) = self.ended.get_mut() {
            let _ = ended.recv_timeout(FAREWELL);
        }
    }
}

fn renew(client: &Client, database: i64, token: &str, until: &Receiver<()>) {
    while until.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
        // A server that is away for one renewal may be back for the next. "again": a FLUSHDB
        // by the lesson took the key along with the rest, and other keys are ours.
        let _ = super::recipe::connect(client, super::PATIENCE)
            .and_then(|mut connection| attempt(&mut connection, database, token, "again"));
    }
}

fn attempt(
    connection: &mut Connection,
    database: i64,
    token: &str,
    mode: &str,
) -> Result<bool, RedisError> {
    ::redis::cmd("SELECT").arg(database).exec(connection)?;
    let term = u64::try_from(TERM.as_millis()).unwrap_or(u64::MAX);
    Script::new(TAKE).key(OWNER).arg(token).arg(term).arg(mode).invoke(connection)
}

/// Removes every key of a leased database but the one that says that it is leased.
pub(super) fn flush(connection: &mut Connection, token: &str) -> Result<(), RedisError> {
    empty(connection, token, "keep")
}

fn empty(connection: &mut Connection, token: &str, mode: &str) -> Result<(), RedisError> {
    Script::new(FLUSH).key(OWNER).arg(token).arg(mode).invoke(connection)
}

/// The clients in a CLIENT LIST that have `database` selected.
pub(super) fn clients_of(database: i64, list: &str) -> impl Iterator<Item = u64> + '_ {
    list.lines().filter_map(move |line| {
        let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
        let selected: i64 = field("db=")?.parse().ok()?;
        (selected == database).then(|| field("id=")?.parse().ok())?
    })
}

/// Unlike any other on this server: the connection's number is never used again while the
/// server runs, its clock and our process tell restarts apart.
fn token(connection: &mut Connection) -> Result<String, RedisError> {
    let client: u64 = super::command("CLIENT ID").query(connection)?;
    let (seconds, micros): (u64, u64) = ::redis::cmd("TIME").query(connection)?;
    Ok(format!("{}-{client}-{seconds}.{micros}", std::process::id()))
}

/// How many databases the server has; 16 is the default where CONFIG is forbidden.
fn count(connection: &mut Connection) -> i64 {
    let told: Result<(String, i64), RedisError> =
        ::redis::cmd("CONFIG").arg("GET").arg("databases").query(connection);
    told.map_or(16, |(_, databases)| databases)
}
