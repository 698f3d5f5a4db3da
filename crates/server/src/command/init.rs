//! `mifengd init`

use super::say;
use crate::{
    clock,
    config::{self, environment::Overrides},
    files, passphrase, tls,
};
use anyhow::{Context, bail};
use clap::Args;
use keyring::RootKey;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A file whose first line is the passphrase for the root key. Without it MIFENG_ROOT_PASSPHRASE is taken, or it is
    /// asked for.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The names and addresses by which devices will know the server, separated by commas. The first stands in invites.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "localhost,127.0.0.1,::1")]
    host: Vec<String>,
    #[command(flatten)]
    store: StoreArguments,
}

/// Where the database is, if it is not a file in the data directory.
#[derive(Debug, Default, Args)]
struct StoreArguments {
    /// Keeps everything in this PostgreSQL database: postgresql://ROLE@HOST:PORT/DATABASE, without a password.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// A file whose first line is that role's password.
    #[arg(long, value_name = "FILE", requires = "postgres")]
    postgres_password_file: Option<PathBuf>,
    /// The authority that signed the database's certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "postgres")]
    postgres_ca_file: Option<PathBuf>,
    /// The role that owns the tables; `serve` makes and updates them as this role.
    #[arg(long, value_name = "ROLE", requires = "postgres")]
    postgres_migration_user: Option<String>,
    /// A file whose first line is the owner's password.
    #[arg(long, value_name = "FILE", requires = "postgres_migration_user")]
    postgres_migration_password_file: Option<PathBuf>,
}

pub(super) fn run(data: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config_file = data.join(config::FILE_NAME);
    if config_file.exists() {
        bail!("{} exists: this data directory was made before and is left as it is", config_file.display());
    }
    let host = arguments.host.first().context("--host needs at least one name")?;
    if !arguments.host.iter().all(|host| is_host(host)) {
        bail!("--host takes names and addresses without a port, separated by commas");
    }
    let text = configuration(host, arguments.passphrase_file.as_deref(), &arguments.store);
    config::parse(&config_file, &text, &Overrides::default())?.store.location(data)?;
    let passphrase = passphrase::obtain(arguments.passphrase_file.as_deref(), true)?;
    files::create_private_dir(data).with_context(|| format!("cannot make {}", data.display()))?;
    RootKey::create(&data.join(crate::ROOT_KEY_FILE), &passphrase).context("cannot make the root key")?;
    for plane in tls::Plane::ALL {
        tls::issue::plane(data, plane, &arguments.host, clock::now())
            .with_context(|| format!("cannot make the certificates for {}", plane.as_str()))?;
    }
    // Last, because its presence says that the directory is whole.
    files::write_private(&config_file, text.as_bytes())?;
    report(data, &arguments.host)?;
    Ok(ExitCode::SUCCESS)
}

/// The template with this installation's name.
fn configuration(host: &str, passphrase_file: Option<&Path>, store: &StoreArguments) -> String {
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let text = config::TEMPLATE.replace("host = \"localhost\"", &format!("host = {}", toml::Value::String(bracketed)));
    let path = |file: Option<&Path>| Some(std::path::absolute(file?).ok()?.display().to_string());
    let kind = store.postgres.as_ref().map(|_| "postgres".to_owned());
    let values = [
        ("root.passphrase_file", path(passphrase_file)),
        ("store.kind", kind),
        ("store.url", store.postgres.clone()),
        ("store.password_file", path(store.postgres_password_file.as_deref())),
        ("store.ca_file", path(store.postgres_ca_file.as_deref())),
        ("store.migration_user", store.postgres_migration_user.clone()),
        ("store.migration_password_file", path(store.postgres_migration_password_file.as_deref())),
    ];
    let set = |section: &str, line: &str| {
        let key = line.trim_start_matches("# ").split(" = ").next()?;
        let (_, value) = values.iter().find(|(name, _)| name.split_once('.') == Some((section, key)))?;
        Some(format!("{key} = {}", toml::Value::String(value.clone()?)))
    };
    let mut section = "";
    let mut written = String::new();
    for line in text.lines() {
        section = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(section);
        written.push_str(&set(section, line).unwrap_or_else(|| line.to_owned()));
        written.push('\n');
    }
    written
}

fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    host.parse::<std::net::IpAddr>().is_ok() || (!host.is_empty() && host.bytes().all(plain))
}

fn report(data: &Path, hosts: &[String]) -> std::io::Result<()> {
    let (dir, config, root_key) = (data.display(), config::FILE_NAME, crate::ROOT_KEY_FILE);
    let hosts = hosts.join(", ");
    say(format_args!("Made in {dir}:"))?;
    say(format_args!("  {config:22} configuration, every key explained"))?;
    say(format_args!("  {root_key:22} root key, sealed by the passphrase: back it up, apart from the data"))?;
    say(format_args!("  {:22} certificates for {hosts}", "tls/clients"))?;
    say(format_args!("  {:22} certificates for `mifengd tenant` and `mifengd invite`", "tls/admin"))?;
    say(format_args!("  {:22} certificates for metrics", "tls/internal"))?;
    say("Without the passphrase nothing here can be opened again.\n\nNext:")?;
    say(format_args!("  mifengd serve --data {dir}"))?;
    say(format_args!("  mifengd tenant create --data {dir} acme"))?;
    say(format_args!("  mifengd invite create --data {dir} --tenant acme"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};

    #[test]
    fn what_init_writes_can_be_read() {
        let nowhere = StoreArguments::default();
        let text = configuration("::1", Some(Path::new("/etc/pass \"word\"")), &nowhere);
        let config = parse(Path::new("x"), &text, &Overrides::default()).unwrap();
        let mut expected = Config::default();
        expected.clients.host = "[::1]".into();
        expected.root.passphrase_file = Some("/etc/pass \"word\"".into());
        assert_eq!(config, expected);
        let store = StoreArguments {
            postgres: Some("postgresql://server@db.example.org/mifeng".into()),
            postgres_ca_file: Some("/etc/ca.pem".into()),
            postgres_migration_user: Some("owner".into()),
            ..nowhere
        };
        let config = parse(Path::new("x"), &configuration("a", None, &store), &Overrides::default()).unwrap();
        let expected = config::Store {
            kind: config::StoreKind::Postgres,
            url: store.postgres,
            ca_file: store.postgres_ca_file,
            migration_user: store.postgres_migration_user,
            ..config::Store::default()
        };
        assert_eq!(config.store, expected);
    }

    #[test]
    fn odd_hosts_are_refused() {
        assert!(["localhost", "chat.example.org", "10.0.0.1", "::1"].iter().all(|host| is_host(host)));
        assert!(["", "a b", "host:7443", "https://x", "a/b", "ü"].iter().all(|host| !is_host(host)));
    }
}
