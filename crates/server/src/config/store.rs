//! `[store]`: which database, and how it is reached.

use super::ConfigError;
use crate::passphrase;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use store::{Location, Login, Postgres};

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Which database.
    pub kind: StoreKind,
    /// PostgreSQL: `postgresql://ROLE@HOST:PORT/DATABASE`, without a password. The role owns no table.
    pub url: Option<String>,
    /// The role's password, on the first line of a file that only its owner may read.
    pub password_file: Option<PathBuf>,
    /// The authorities of the database's certificate, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, for a database that asks for one.
    pub certificate_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The role that owns the tables, to bring the schema up to date.
    pub migration_user: Option<String>,
    /// Its password, as `password_file`.
    pub migration_password_file: Option<PathBuf>,
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A file in the data directory.
    #[default]
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Store {
    /// Checks what the types cannot say. Reads no file.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |key, text| Err(ConfigError::Range { key, text });
        let for_postgres = [
            ("store.url", self.url.is_some()),
            ("store.password_file", self.password_file.is_some()),
            ("store.ca_file", self.ca_file.is_some()),
            ("store.certificate_file", self.certificate_file.is_some()),
            ("store.key_file", self.key_file.is_some()),
            ("store.migration_user", self.migration_user.is_some()),
            ("store.migration_password_file", self.migration_password_file.is_some()),
        ];
        if self.kind == StoreKind::Sqlite {
            let set = for_postgres.iter().find(|(_, is_set)| *is_set);
            return set.map_or(Ok(()), |(key, _)| wrong(key, "is for kind = \"postgres\""));
        }
        if self.url.is_none() {
            return wrong("store.url", "is needed for kind = \"postgres\"");
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            return wrong("store.key_file", "and store.certificate_file belong together");
        }
        if self.migration_password_file.is_some() && self.migration_user.is_none() {
            return wrong("store.migration_user", "is needed for store.migration_password_file");
        }
        Ok(())
    }

    /// Where the database of this data directory is; reads the files that hold passwords.
    ///
    /// # Errors
    /// When such a file is missing or open to others, or the address cannot be used.
    pub fn location(&self, data: &Path) -> anyhow::Result<Location> {
        if self.kind == StoreKind::Sqlite {
            return Ok(data.join(crate::DATABASE_FOLDER).as_path().into());
        }
        let password = |file: &Option<PathBuf>| file.as_deref().map(passphrase::from_file).transpose();
        let migration = match &self.migration_user {
            Some(user) => Some(Login { user: user.clone(), password: password(&self.migration_password_file)? }),
            None => None,
        };
        let address = Postgres {
            url: self.url.clone().unwrap_or_default(),
            password: password(&self.password_file)?,
            ca_file: self.ca_file.clone(),
            certificate: self.certificate_file.clone().zip(self.key_file.clone()),
            migration,
        };
        address.validate()?;
        Ok(address.into())
    }

    /// The files that hold secrets.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        [&self.password_file, &self.migration_password_file, &self.key_file].into_iter().flatten().map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_together_is_named() {
        let sqlite = Store { ca_file: Some("ca.pem".into()), ..Store::default() };
        assert!(sqlite.validate().unwrap_err().to_string().contains("store.ca_file"));
        let bare = Store { kind: StoreKind::Postgres, ..Store::default() };
        assert!(bare.validate().unwrap_err().to_string().contains("store.url"));
        let good = Store { url: Some("postgresql://server@%2Frun/mifeng".into()), ..bare };
        assert!(good.validate().is_ok() && good.location(Path::new("data")).is_ok());
        let half = Store { key_file: Some("key.pem".into()), ..good.clone() };
        assert!(half.validate().unwrap_err().to_string().contains("store.certificate_file"));
        let nobody = Store { migration_password_file: Some("password".into()), ..good.clone() };
        assert!(nobody.validate().unwrap_err().to_string().contains("store.migration_user"));
        let unencrypted = Store { url: Some("postgresql://server@db.example.org/mifeng".into()), ..good };
        assert!(unencrypted.location(Path::new("data")).unwrap_err().to_string().contains("ca_file"));
    }
}
