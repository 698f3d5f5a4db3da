//! What has to hold before a PostgreSQL database is trusted: that it keeps what it acknowledges, and that row-level security
//! binds us.

use super::Connection;
use crate::OpenError;

/// PostgreSQL 15.
const OLDEST: i32 = 150_000;

const SETTINGS: &str = "select current_setting('server_version_num')::integer, current_setting('fsync'), \
    current_setting('full_page_writes'), current_setting('synchronous_commit'), current_setting('server_encoding'), \
    pg_is_in_recovery()";

const ROLE: &str = "select rolsuper, rolbypassrls, rolname::text from pg_roles where rolname = current_user";

/// Tables whose owner we are, or could become.
const OWNED: &str = "select relname::text from pg_class where relnamespace = to_regnamespace('mifeng') \
    and relkind in ('r', 'p') and pg_has_role(current_user, relowner, 'MEMBER') order by relname limit 1";

/// The tables that name a tenant, without security that holds for everybody.
const UNPROTECTED: &str = "select c.relname::text from pg_class c \
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant' and not a.attisdropped \
    where c.relnamespace = to_regnamespace('mifeng') and c.relkind in ('r', 'p') \
    and not (c.relrowsecurity and c.relforcerowsecurity \
    and exists (select 1 from pg_policy p where p.polrelid = c.oid)) order by c.relname limit 1";

pub(super) fn check(connection: &Connection) -> Result<(), OpenError> {
    settings(connection)?;
    let roles = connection.rows_own(ROLE, &[])?;
    let role = roles.first().ok_or_else(|| wrong("our role is not among its roles"))?;
    let (is_superuser, bypasses, name): (bool, bool, String) = (role.try_get(0)?, role.try_get(1)?, role.try_get(2)?);
    if is_superuser || bypasses {
        let what = if is_superuser { "is a superuser" } else { "has BYPASSRLS" };
        return Err(wrong(format!("role {name} {what}, so row-level security does not hold for it: use another role")));
    }
    if let Some(table) = connection.rows_own(OWNED, &[])?.first() {
        let table: String = table.try_get(0)?;
        return Err(wrong(format!("role {name} owns table {table} or is a member of its owner: use another role")));
    }
    if let Some(table) = connection.rows_own(UNPROTECTED, &[])?.first() {
        let table: String = table.try_get(0)?;
        return Err(wrong(format!("table {table} has no forced row-level security: restore the schema's own")));
    }
    Ok(())
}

fn settings(connection: &Connection) -> Result<(), OpenError> {
    let rows = connection.rows_own(SETTINGS, &[])?;
    let row = rows.first().ok_or_else(|| wrong("it does not tell its settings"))?;
    let version: i32 = row.try_get(0)?;
    if version < OLDEST {
        return Err(wrong(format!("its version is {version}, 15 is needed")));
    }
    for (index, name) in [(1, "fsync"), (2, "full_page_writes")] {
        if row.try_get::<_, &str>(index)? != "on" {
            return Err(wrong(format!("{name} is off, so what it acknowledges may be lost: turn it on")));
        }
    }
    let commit: &str = row.try_get(3)?;
    if !matches!(commit, "on" | "remote_apply") {
        return Err(wrong(format!(
            "synchronous_commit is {commit} for our role, so what it acknowledges may be lost: set it to on"
        )));
    }
    if row.try_get::<_, &str>(4)? != "UTF8" {
        return Err(wrong("its encoding is not UTF8"));
    }
    if row.try_get(5)? {
        return Err(wrong("it is a standby: connect to the primary"));
    }
    Ok(())
}

fn wrong(text: impl Into<String>) -> OpenError {
    OpenError::Unsafe(text.into())
}
