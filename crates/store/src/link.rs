//! A connection of either kind, and how each begins and ends a transaction.

use crate::scope::{Lock, Scope};
use crate::sql::{Row, Sql, Value, sql};
use crate::{Error, postgres};
use rusqlite::CachedStatement;

/// A connection. The thread that owns it is the only one that uses it.
pub(crate) enum Link {
    Sqlite(rusqlite::Connection),
    Postgres(Box<postgres::Connection>),
}

impl Link {
    pub(crate) fn execute(&self, sql: Sql, values: &[Value<'_>]) -> Result<usize, Error> {
        match self {
            Self::Sqlite(connection) => Ok(bound(connection, sql, values)?.raw_execute()?),
            Self::Postgres(connection) => connection.execute(sql, values),
        }
    }

    pub(crate) fn row<T>(
        &self,
        sql: Sql,
        values: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = bound(connection, sql, values)?;
                let mut rows = statement.raw_query();
                let value = rows.next()?.map(|row| read(&Row::Sqlite(row))).transpose()?;
                // To its end: a statement that changes rows does so whole only when it has been stepped to its end.
                while value.is_some() && rows.next()?.is_some() {}
                Ok(value)
            }
            Self::Postgres(connection) => {
                let mut read = Some(read);
                let mut first = connection.rows(sql, values, |row| read.take().map(|read| read(row)).transpose())?;
                Ok(first.pop())
            }
        }
    }

    /// Reads rows until there are no more, or `read` says that it has enough by `None`.
    pub(crate) fn rows<T>(
        &self,
        sql: Sql,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<Option<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = bound(connection, sql, values)?;
                let mut rows = statement.raw_query();
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    match read(&Row::Sqlite(row))? {
                        Some(value) => all.push(value),
                        None => break,
                    }
                }
                Ok(all)
            }
            Self::Postgres(connection) => connection.rows(sql, values, read),
        }
    }

    /// Runs a script of statements without parameters.
    pub(crate) fn script(&self, text: &str) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(text)?),
            Self::Postgres(connection) => connection.plain(text),
        }
    }

    /// Begins a transaction that may write.
    pub(crate) fn begin(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.execute(sql!("begin immediate"), &[]).map(drop),
            Self::Postgres(connection) => {
                // Every statement sees what was committed before it, and what a lock has waited for.
                connection.begin("begin isolation level read committed");
                Ok(())
            }
        }
    }

    /// Begins a transaction that reads one snapshot.
    pub(crate) fn begin_to_read(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.execute(sql!("begin"), &[]).map(drop),
            Self::Postgres(connection) => {
                connection.begin("begin isolation level repeatable read read only");
                Ok(())
            }
        }
    }

    /// Whose rows the transaction reaches from here on.
    pub(crate) fn enter(&self, scope: Scope) {
        if let Self::Postgres(connection) = self {
            connection.enter(scope);
        }
    }

    /// Keeps other writers out until the end of the transaction.
    pub(crate) fn lock(&self, lock: Lock) {
        if let Self::Postgres(connection) = self {
            connection.lock(lock);
        }
    }

    pub(crate) fn commit(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.execute(sql!("commit"), &[]).map(drop),
            Self::Postgres(connection) => connection.commit(),
        }
    }

    pub(crate) fn rollback(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.execute(sql!("rollback"), &[]).map(drop),
            Self::Postgres(connection) => connection.rollback(),
        }
    }

    pub(crate) fn savepoint(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.execute(sql!("savepoint job"), &[]).map(drop),
            Self::Postgres(connection) => {
                connection.savepoint();
                Ok(())
            }
        }
    }

    pub(crate) fn release(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.execute(sql!("release job"), &[]).map(drop),
            Self::Postgres(connection) => {
                connection.release();
                Ok(())
            }
        }
    }

    pub(crate) fn undo_to_savepoint(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => {
                self.execute(sql!("rollback to job"), &[])?;
                self.execute(sql!("release job"), &[]).map(drop)
            }
            Self::Postgres(connection) => {
                connection.undo_to_savepoint();
                Ok(())
            }
        }
    }

    pub(crate) fn is_in_transaction(&self) -> bool {
        match self {
            Self::Sqlite(connection) => !connection.is_autocommit(),
            Self::Postgres(connection) => connection.is_in_transaction(),
        }
    }

    /// The failed statement that has aborted the transaction up to its last savepoint. SQLite undoes the statement alone.
    pub(crate) fn aborted(&self) -> Option<Error> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(connection) => connection.aborted(),
        }
    }

    /// Rows changed so far by this connection; where entries are queued, those do not count yet.
    pub(crate) fn changes(&self) -> u64 {
        match self {
            Self::Sqlite(connection) => connection.total_changes(),
            Self::Postgres(_) => 0,
        }
    }
}

fn bound<'c>(
    connection: &'c rusqlite::Connection,
    sql: Sql,
    values: &[Value<'_>],
) -> Result<CachedStatement<'c>, Error> {
    let mut statement = connection.prepare_cached(sql.sqlite)?;
    for (value, index) in values.iter().zip(1usize..) {
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(statement)
}
