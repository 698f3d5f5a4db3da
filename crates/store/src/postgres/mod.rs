//! PostgreSQL: how it is opened, and how it is used safely (docs/decisions/0020).

mod address;
mod connection;
mod keeper;
mod safety;
mod value;

pub(crate) use address::Route;
pub use address::{Login, Postgres};
pub(crate) use connection::{Connection, Parameter};
pub(crate) use keeper::Keeper;

use crate::link::Link;
use crate::{Error, OpenError, migration};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What an advisory lock of ours is called: "Mfng", and for what.
const SERVE: &str = "select pg_try_advisory_lock(1298558567, 1)";
const MIGRATE: &str = "select pg_advisory_lock(1298558567, 2)";
const WHO_SERVES: &str = "select a.application_name, coalesce(host(a.client_addr), 'this machine'), a.pid \
    from pg_locks l join pg_stat_activity a on a.pid = l.pid \
    where l.locktype = 'advisory' and l.classid = 1298558567 and l.objid = 1 and l.granted \
    and l.database = (select oid from pg_database where datname = current_database())";

/// A process that was killed is known to be gone when the database notices.
const TAKE_OVER: Duration = Duration::from_secs(10);
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Opens the writer's connection: brings the schema up to date if that was allowed, checks that the database keeps what it
/// is told and that our role cannot pass the row security, and makes this process the one that serves.
pub(crate) fn open_first(address: &Postgres) -> Result<Connection, OpenError> {
    let route = Arc::new(address.route()?);
    if let Some(owner) = address.route_of_owner()? {
        let connection = connected(&Arc::new(owner))?;
        connection.plain(MIGRATE)?;
        migration::migrate_postgres(&Link::Postgres(Box::new(connection)), route.role())?;
    }
    let connection = connected(&route)?;
    safety::check(&connection)?;
    migration::check_postgres(&connection)?;
    serve_alone(&connection)?;
    Ok(connection)
}

/// Everything that [`open_first`] checks, without changing anything.
pub(crate) fn check(address: &Postgres) -> Result<(), OpenError> {
    let connection = connected(&Arc::new(address.route()?))?;
    safety::check(&connection)?;
    migration::check_postgres(&connection)
}

fn connected(route: &Arc<Route>) -> Result<Connection, OpenError> {
    let connection = Connection::new(Arc::clone(route))?;
    connection.connect()?;
    Ok(connection)
}

fn serve_alone(connection: &Connection) -> Result<(), OpenError> {
    let start = Instant::now();
    while !try_to_serve(connection)? {
        if start.elapsed() > TAKE_OVER {
            return Err(OpenError::Served { owner: who_serves(connection)? });
        }
        sleep(TRY_EVERY);
    }
    Ok(())
}

/// Makes this session the one that serves. The lock ends with the session, and so does every transaction of it: nobody
/// writes who has lost it.
fn try_to_serve(connection: &Connection) -> Result<bool, Error> {
    let rows = connection.rows_own(SERVE, &[])?;
    rows.first().map_or(Err(Error::Malformed), |row| Ok(row.try_get(0)?))
}

fn who_serves(connection: &Connection) -> Result<String, Error> {
    let rows = connection.rows_own(WHO_SERVES, &[])?;
    let Some(row) = rows.first() else { return Ok("another process".into()) };
    let (name, host, pid): (String, String, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(format!("{name} on {host} (session {pid} of the database)"))
}
