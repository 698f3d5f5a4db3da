//! SQL texts, their parameters and their rows.
//!
//! There is one text for every database, written with `$1`. A text exists only as a constant made by [`sql!`], so that no
//! statement is ever put together from parts.

use crate::Error;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

/// A constant SQL text, as each database reads it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

/// Makes an [`Sql`] at compile time. SQLite takes `$1` for a name, not for a number, so its text has `?1` instead; `$` is
/// used for nothing else. A lock that PostgreSQL needs stands in braces, `{for update}`: SQLite, which has one writer, does
/// not see it.
macro_rules! sql {
    ($text:literal) => {{
        const TEXT: &str = $text;
        const SQLITE: [u8; TEXT.len()] = $crate::sql::for_sqlite(TEXT);
        const POSTGRES: [u8; TEXT.len()] = $crate::sql::for_postgres(TEXT);
        const SQL: $crate::sql::Sql =
            $crate::sql::Sql { sqlite: $crate::sql::text(&SQLITE), postgres: $crate::sql::text(&POSTGRES) };
        SQL
    }};
}
pub(crate) use sql;

/// A list of parameters.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::AsValue::as_value(&$value)),*] };
}
pub(crate) use values;

pub(crate) const fn for_sqlite<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    let mut bytes = [b' '; N];
    let mut index = 0;
    let mut is_lock = false;
    while index < N {
        is_lock |= text[index] == b'{';
        if !is_lock {
            bytes[index] = if text[index] == b'$' { b'?' } else { text[index] };
        }
        is_lock &= text[index] != b'}';
        index += 1;
    }
    bytes
}

pub(crate) const fn for_postgres<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    let mut bytes = [b' '; N];
    let mut index = 0;
    while index < N {
        if text[index] != b'{' && text[index] != b'}' {
            bytes[index] = text[index];
        }
        index += 1;
    }
    bytes
}

pub(crate) const fn text(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}

/// A parameter.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// What can be a parameter.
pub(crate) trait AsValue {
    fn as_value(&self) -> Value<'_>;
}

impl AsValue for u64 {
    /// Numbers from outside that no column can hold become the largest that one can: they compare as they should, and
    /// nothing ever stores them.
    fn as_value(&self) -> Value<'_> {
        Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}

impl<T: AsValue> AsValue for Option<T> {
    fn as_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::as_value)
    }
}

impl AsValue for &str {
    fn as_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl AsValue for &[u8] {
    fn as_value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

impl AsValue for Vec<u8> {
    fn as_value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

impl<const N: usize> AsValue for [u8; N] {
    fn as_value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

macro_rules! number {
    ($($name:ty),*) => {$(
        impl AsValue for $name {
            fn as_value(&self) -> Value<'_> {
                Value::Integer((*self).into())
            }
        }
    )*};
}
number!(u8, u16, u32, i64);

macro_rules! as_bytes {
    ($($name:ty),*) => {$(
        impl AsValue for $name {
            fn as_value(&self) -> Value<'_> {
                Value::Bytes(self.as_bytes())
            }
        }
    )*};
}
as_bytes!(
    wire::TenantId,
    wire::UserId,
    wire::DeviceId,
    wire::ConversationId,
    wire::GroupId,
    wire::MessageId,
    wire::BlobId,
    wire::InviteId,
    trust::AccountPublicKey,
    trust::DevicePublicKey,
    trust::AuthorityPublicKey
);

/// A row of an answer.
pub(crate) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

impl Row<'_> {
    pub(crate) fn bytes(&self, index: usize) -> Result<&[u8], Error> {
        match self.value(index)? {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Error::Malformed),
        }
    }

    pub(crate) fn text(&self, index: usize) -> Result<&str, Error> {
        match self.value(index)? {
            Value::Text(text) => Ok(text),
            _ => Err(Error::Malformed),
        }
    }

    pub(crate) fn array<const N: usize>(&self, index: usize) -> Result<[u8; N], Error> {
        self.bytes(index)?.try_into().map_err(|_| Error::Malformed)
    }

    pub(crate) fn id<T: for<'b> TryFrom<&'b [u8]>>(&self, index: usize) -> Result<T, Error> {
        T::try_from(self.bytes(index)?).map_err(|_| Error::Malformed)
    }

    pub(crate) fn number<T: TryFrom<i64>>(&self, index: usize) -> Result<T, Error> {
        match self.value(index)? {
            Value::Integer(number) => T::try_from(number).map_err(|_| Error::Malformed),
            _ => Err(Error::Malformed),
        }
    }

    /// `None` where the column is null.
    pub(crate) fn optional<T>(
        &self,
        index: usize,
        read: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match self.value(index)? {
            Value::Null => Ok(None),
            _ => read(self).map(Some),
        }
    }

    fn value(&self, index: usize) -> Result<Value<'_>, Error> {
        match self {
            Self::Sqlite(row) => match row.get_ref(index)? {
                ValueRef::Null => Ok(Value::Null),
                ValueRef::Integer(number) => Ok(Value::Integer(number)),
                ValueRef::Blob(bytes) => Ok(Value::Bytes(bytes)),
                ValueRef::Text(bytes) => std::str::from_utf8(bytes).map(Value::Text).map_err(|_| Error::Malformed),
                ValueRef::Real(_) => Err(Error::Malformed),
            },
            Self::Postgres(row) => row.try_get(index).map_err(|_| Error::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn parameters_are_numbered_for_sqlite() {
        let text = sql!("select a from b where c = $2 and d = $1");
        assert_eq!(text.sqlite, "select a from b where c = ?2 and d = ?1");
        assert_eq!(text.postgres, "select a from b where c = $2 and d = $1");
    }

    #[test]
    fn locks_are_for_postgres_only() {
        let text = sql!("select a from b limit $1 {for update}");
        assert_eq!(text.sqlite.trim_end(), "select a from b limit ?1");
        assert_eq!(text.postgres, "select a from b limit $1  for update ");
        let text = sql!("update b set a = 1 where a = (select a from b limit 1 {for update skip locked}) returning a");
        assert!(!text.sqlite.contains("lock") && text.sqlite.ends_with(") returning a"));
        assert!(text.postgres.contains("limit 1  for update skip locked ) returning a"));
    }
}
