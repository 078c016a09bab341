//! A database of one's own on a server that others use too.
//!
//! Its name is `testbed_<when>_<random>`, the time in seconds of the server's clock, so it
//! can be nobody else's, and it is dropped at the end. What a killed test leaves behind is
//! dropped by the next one that comes: a database of such a name, older than a minute, that
//! nobody is connected to. While we live somebody is: on a shared server a session of ours
//! sits in the database and does nothing, which the server notices the end of, however we die.
//!
//! A database that others are connected to cannot be dropped without force, and force is used
//! on our own alone. So the worst that a mistake here could do is to leave something behind.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::session::{Refusal, Session};
use super::url::Target;

/// What all names begin with.
const PREFIX: &str = "testbed_";

/// How old a database must be before it may count as left behind: its maker may not have
/// come to connect to it.
const GRACE: usize = 60;

/// How long dropping waits for the server, which goes on without us.
const FAREWELL: Duration = Duration::from_secs(2);

/// A database, ours until this is dropped.
#[derive(Debug)]
pub(super) struct Database {
    server: Target,
    name: String,
    /// Marks the database as in use, where the server is shared.
    occupant: Option<Session>,
}

impl Database {
    /// Makes one by way of the database that `server` names; `shared` where others come to
    /// the same server. Blocks for some tens of milliseconds.
    pub(super) fn make(server: &Target, shared: bool) -> Result<Self, Refusal> {
        let mut session = Session::open(server, PATIENCE)?;
        let now = session.number("SELECT extract(epoch FROM now())::bigint")?;
        if shared {
            sweep(&mut session, now)?;
        }
        let name = format!("{PREFIX}{now}_{:032x}", rand::random::<u128>());
        // template0 is as PostgreSQL made it; template1 may hold what its owner put there, and
        // cannot be copied while somebody looks at it.
        session.query(&format!("CREATE DATABASE {name} TEMPLATE template0"))?;
        let mut database = Self { server: server.clone(), name, occupant: None };
        if shared {
            let mut occupant = Session::open(&database.target(), PATIENCE)?;
            // A server may be set to end sessions that do nothing, which is what this one does.
            occupant.query("SET idle_session_timeout = 0")?;
            database.occupant = Some(occupant);
        }
        Ok(database)
    }

    /// How to get in.
    pub(super) fn target(&self) -> Target {
        self.server.at(&self.name)
    }

    /// The server's process for the session that only sits there.
    pub(super) fn occupant(&self) -> Option<u32> {
        self.occupant.as_ref().map(Session::pid)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.occupant = None;
        // Where the server is gone, so is the database, or the next one will drop it.
        let _ = Session::open(&self.server, FAREWELL).and_then(|mut session| {
            // FORCE would do, and look for their end ten times a second.
            end_sessions(&mut session, &format!("datname = '{}'", self.name), FAREWELL)?;
            session.query(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name))
        });
    }
}

/// Ends the client sessions that fit a condition on `pg_stat_activity`, but for the one that
/// asks, and waits for their end. Gives their number.
pub(super) fn end_sessions(
    session: &mut Session,
    which: &str,
    patience: Duration,
) -> Result<usize, Refusal> {
    // Chosen first and ended then: of two conditions PostgreSQL may try either one first, and
    // would end this very session.
    let told = session.query(&format!(
        "WITH others AS MATERIALIZED (\
           SELECT pid FROM pg_stat_activity WHERE {which} \
           AND backend_type = 'client backend' AND pid <> pg_backend_pid()) \
         SELECT pid FROM others WHERE pg_terminate_backend(pid)"
    ))?;
    let told: Vec<String> = told.into_iter().flatten().flatten().collect();
    let left = format!("SELECT count(*) FROM pg_stat_activity WHERE pid IN ({})", told.join(", "));
    let deadline = Instant::now() + patience;
    while !told.is_empty() && session.number(&left)? > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    Ok(told.len())
}

/// Drops what killed tests of the same user left behind.
fn sweep(session: &mut Session, now: usize) -> Result<(), Refusal> {
    let unused = session.query(
        "SELECT datname FROM pg_database AS found \
         WHERE datname LIKE 'testbed\\_%' AND pg_get_userbyid(datdba) = current_user \
         AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datid = found.oid)",
    )?;
    for name in unused.into_iter().flatten().flatten().filter(|name| left_behind(name, now)) {
        // Somebody may have come meanwhile, or another sweeper been faster.
        let _ = session.query(&format!("DROP DATABASE IF EXISTS {name}"));
    }
    Ok(())
}

/// Whether a name is one of ours, and old enough.
fn left_behind(name: &str, now: usize) -> bool {
    let parts = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
    parts.is_some_and(|(made, random)| {
        let ours = random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        ours && made.parse().is_ok_and(|made: usize| made.saturating_add(GRACE) < now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_databases_of_ours_are_left_behind() {
        let random = "0123456789abcdef0123456789abcdef";
        assert!(left_behind(&format!("testbed_1000_{random}"), 1061));
        for kept in [
            format!("testbed_1000_{random}"),
            format!("testbed_1_{random}0"),
            "testbed_1_shop".into(),
            "testbed_shop".into(),
            format!("shop_1_{random}"),
        ] {
            assert!(!left_behind(&kept, 1060), "{kept}");
        }
    }
}
