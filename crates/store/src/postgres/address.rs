//! Where a PostgreSQL database is, who we are there, and how we know that it is the right one.

use crate::OpenError;
use rustls::crypto::aws_lc_rs::kx_group as groups;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the peer's kernel may be silent.
const SILENCE: Duration = Duration::from_secs(15);
/// How long one statement may take; the database ends it then.
const STATEMENT_TIMEOUT_MS: u32 = 30_000;
/// What every session runs with. A database that has lost us gives up what we held within the time of the keepalives.
const OPTIONS: &str = "-c search_path=mifeng -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s \
    -c client_connection_check_interval=5s -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=2 \
    -c plan_cache_mode=force_generic_plan -c jit=off";

/// A PostgreSQL database, and the roles by which it is used.
#[derive(Clone)]
pub struct Postgres {
    /// `postgresql://ROLE@HOST:PORT/DATABASE`; a directory in place of the host, percent-encoded, for a Unix socket. The
    /// role owns no table. Holds no password.
    pub url: String,
    /// The role's password, if it needs one.
    pub password: Option<Zeroizing<String>>,
    /// The authorities, in PEM, one of which has to have signed the server's certificate. Needed unless the host is a Unix
    /// socket.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, in PEM, for a server that asks for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The role that owns the tables, to bring the schema up to date at the start. Without it the schema has to be.
    pub migration: Option<Login>,
}

/// Somebody at a database.
#[derive(Clone)]
pub struct Login {
    /// The role.
    pub user: String,
    /// Its password, if it needs one.
    pub password: Option<Zeroizing<String>>,
}

/// An address that was checked: what a connection is made from.
pub(crate) struct Route {
    pub(super) config: Config,
    pub(super) tls: Option<MakeRustlsConnect>,
}

impl Postgres {
    /// Checks everything that can be checked without a connection.
    ///
    /// # Errors
    /// [`OpenError::Address`], which says what is wrong.
    pub fn validate(&self) -> Result<(), OpenError> {
        self.route().map(drop)
    }

    pub(crate) fn route(&self) -> Result<Route, OpenError> {
        let mut config: Config = self.url.parse().map_err(unreadable)?;
        if config.get_password().is_some() {
            return Err(wrong("url: a password does not belong there, it belongs into a file"));
        }
        if config.get_options().is_some() {
            return Err(wrong("url: options are the program's own"));
        }
        if config.get_user().is_none() || config.get_dbname().is_none() {
            return Err(wrong("url: it has to name a role and a database, as postgresql://ROLE@HOST/DATABASE"));
        }
        let is_socket = |host: &Host| matches!(host, Host::Unix(_));
        let local = config.get_hosts().iter().filter(|host| is_socket(host)).count();
        let tls = match (local, config.get_hosts().len()) {
            (_, 0) => return Err(wrong("url: it names no host")),
            (local, all) if local == all => None,
            (0, _) => Some(MakeRustlsConnect::new(self.tls()?)),
            _ => return Err(wrong("url: Unix sockets and other hosts do not mix")),
        };
        config
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable })
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .application_name(format!("mifengd process {}", std::process::id()))
            .options(format!("{OPTIONS} -c statement_timeout={STATEMENT_TIMEOUT_MS}"))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE / 3)
            .keepalives_interval(SILENCE / 3)
            .keepalives_retries(2);
        if let Some(password) = &self.password {
            config.password(password.as_bytes());
        }
        Ok(Route { config, tls })
    }

    /// The same database as the role that owns the tables, if there is one.
    pub(super) fn route_of_owner(&self) -> Result<Option<Route>, OpenError> {
        let Some(login) = &self.migration else { return Ok(None) };
        let mut route = self.route()?;
        route
            .config
            .user(&login.user)
            .password(login.password.as_ref().map_or(&b""[..], |password| password.as_bytes()));
        Ok(Some(route))
    }

    /// Host and database, for people.
    pub(crate) fn describe(&self) -> String {
        let Ok(config) = self.url.parse::<Config>() else { return "PostgreSQL".into() };
        let host = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts = host.collect::<Vec<_>>().join(", ");
        format!("PostgreSQL, database {} at {hosts}", config.get_dbname().unwrap_or_default())
    }

    /// TLS 1.3 with the hybrid key exchange first. The certificate has to be for the host's name.
    fn tls(&self) -> Result<ClientConfig, OpenError> {
        let mut provider = crypto::aws_lc_rs::default_provider();
        provider.kx_groups = vec![groups::X25519MLKEM768, groups::X25519, groups::SECP256R1];
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        let Some(ca) = &self.ca_file else {
            return Err(wrong("ca_file: needed, because the server's certificate has to be verified"));
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| unusable(ca, error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(roots);
        let Some((certificate, key)) = &self.certificate else { return Ok(builder.with_no_client_auth()) };
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
        builder.with_client_auth_cert(certificates(certificate)?, secret).map_err(|error| unusable(certificate, error))
    }
}

impl Route {
    /// Who we are.
    pub(super) fn role(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// Connects; the future that is returned with the client drives the connection.
    pub(super) async fn connect(&self) -> Result<(tokio_postgres::Client, Driver), tokio_postgres::Error> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                Ok((client, Box::pin(connection)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok((client, Box::pin(connection)))
            }
        }
    }
}

/// What moves the bytes of a connection.
pub(super) type Driver = std::pin::Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, error))?.collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(unusable(path, "no certificate")),
        Err(error) => Err(unusable(path, error)),
    }
}

/// Names the option that is wrong, and never a value.
fn unreadable(error: tokio_postgres::Error) -> OpenError {
    let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    wrong(format!("url: {error}{why}"))
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> OpenError {
    wrong(format!("{}: {why}", path.display()))
}

fn wrong(text: impl Into<String>) -> OpenError {
    OpenError::Address(text.into())
}

impl std::fmt::Debug for Postgres {
    /// Without the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("at", &self.describe()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Login {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Postgres {
        let password = Some(Zeroizing::new("canary-password".to_owned()));
        let migration = Some(Login { user: "owner".into(), password: password.clone() });
        Postgres { url: url.into(), password, ca_file: None, certificate: None, migration }
    }

    #[test]
    fn an_address_says_what_is_wrong_with_it() {
        for (url, what) in [
            ("postgresql://role:secret@%2Frun/db", "password"),
            ("postgresql://role@%2Frun/db?options=-cfsync%3Doff", "options"),
            ("postgresql://role@%2Frun", "database"),
            ("postgresql://%2Frun/db", "role"),
            ("postgresql://role@%2Frun,db.example.org/db", "mix"),
            ("postgresql://role@db.example.org/db", "ca_file"),
            ("postgresql://role@db.example.org/db?sslmode=disable", "ca_file"),
            ("mysql://role@db.example.org/db", "url"),
            ("postgresql://role@/db?no_such_key=1", "no_such_key"),
        ] {
            let error = at(url).validate().unwrap_err().to_string();
            assert!(error.contains(what) && !error.contains("secret"), "{url}: {error}");
        }
        assert!(at("postgresql://role@%2Frun%2Fpostgresql/db").validate().is_ok());
    }

    #[test]
    fn c6_debug_of_an_address_shows_no_password() {
        let address = at("postgresql://role@%2Frun/db");
        let text = format!("{address:?} {:?} {:?}", address.migration, address.route().unwrap().config);
        assert!(text.contains("PostgreSQL, database db") && !text.contains("canary"), "{text}");
    }
}
