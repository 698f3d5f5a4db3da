//! A profile: the directory that makes this program one device of one person.
//!
//! `server.json` says where the server is; `device.key` opens `device.db`; `lock` keeps a second process away, because two
//! that share a ratchet would seal two messages under one key.

use crate::failure::{Failure, Kind};
use client::{Client, Database, DatabaseKey, UnsealError};
use runtime::{OsEntropy, Server, Shell};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use wire::ServerLine;
use wire::sabotage::{Defence, stands};
use zeroize::Zeroizing;

/// An open profile. The lock is held as long as this lives.
#[derive(Debug)]
pub(crate) struct Profile {
    directory: PathBuf,
    _lock: File,
}

/// Where the server is and how it is known: what an invite says, without its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tenant: String,
    /// SHA-256 of the authority's certificate, in hexadecimal.
    pub(crate) authority_sha256: String,
}

impl Profile {
    /// Opens the profile in this directory, or makes an empty one.
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(directory.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { directory: directory.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) if stands(Defence::ProfileLock) => {
                Err(Failure::new(Kind::Storage, "another mifeng is using this profile")
                    .hint("end it, or give this one another --profile"))
            }
            Err(TryLockError::WouldBlock) => Ok(Self { directory: directory.into(), _lock: lock }),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Remembers the server.
    pub(crate) fn remember(&self, link: &ServerLine) -> Result<(), Failure> {
        let authority_sha256 = link.ca.iter().map(|byte| format!("{byte:02x}")).collect();
        let address =
            Address { host: link.host.clone(), port: link.port, tenant: link.tenant.clone(), authority_sha256 };
        let text = serde_json::to_string_pretty(&address).map_err(io::Error::from)?;
        write_private(&self.directory.join("server.json"), text.as_bytes())?;
        Ok(())
    }

    /// Where the server is.
    pub(crate) fn address(&self) -> Result<Address, Failure> {
        let text = match fs::read_to_string(self.directory.join("server.json")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(client::Error::NotJoined.into()),
            other => other?,
        };
        serde_json::from_str(&text).map_err(|_| Failure::new(Kind::Storage, "server.json is damaged"))
    }

    /// The client of this profile in its shell. A new profile gets a new database, sealed by the passphrase if there is one.
    pub(crate) fn shell(&self, passphrase: Option<&[u8]>) -> Result<Shell, Failure> {
        let address = self.address()?;
        let server = Server::new(&address.host, address.port, address.fingerprint()?)?;
        let database = Database::open(&self.directory.join("device.db"), &self.key(passphrase)?)?;
        let mut client = Client::open(database, Box::new(OsEntropy))?;
        client.handle_timeout(runtime::now())?;
        Ok(Shell::new(client, server))
    }

    fn key(&self, passphrase: Option<&[u8]>) -> Result<DatabaseKey, Failure> {
        let path = self.directory.join("device.key");
        match fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) => read_key(&bytes, passphrase),
            Err(error) if error.kind() == io::ErrorKind::NotFound => new_key(&path, passphrase),
            Err(error) => Err(error.into()),
        }
    }
}

impl Address {
    /// The line by which a further device finds the server.
    pub(crate) fn line(&self) -> Result<ServerLine, Failure> {
        let (host, port, tenant) = (self.host.clone(), self.port, self.tenant.clone());
        Ok(ServerLine { host, port, tenant, ca: self.fingerprint()? })
    }

    fn fingerprint(&self) -> Result<[u8; 32], Failure> {
        let damaged = || Failure::new(Kind::Storage, "server.json is damaged");
        let digits = self.authority_sha256.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return Err(damaged());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| damaged())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| damaged())?;
        }
        Ok(bytes)
    }
}

/// 32 bytes are the key itself, protected by the file's mode only; anything else is a sealed key.
fn read_key(bytes: &[u8], passphrase: Option<&[u8]>) -> Result<DatabaseKey, Failure> {
    if let Ok(bare) = <[u8; 32]>::try_from(bytes) {
        return Ok(DatabaseKey::from_bytes(bare));
    }
    let Some(passphrase) = passphrase else {
        return Err(Failure::usage("this profile is sealed by a passphrase")
            .hint("give --passphrase-file, or set MIFENG_PASSPHRASE"));
    };
    DatabaseKey::unseal(bytes, passphrase).map_err(|error| match error {
        UnsealError::WrongPassphrase => Failure::usage("the passphrase is wrong, or device.key was changed"),
        UnsealError::Malformed => Failure::new(Kind::Storage, "device.key is damaged").hint("restore it from a backup"),
    })
}

fn new_key(path: &Path, passphrase: Option<&[u8]>) -> Result<DatabaseKey, Failure> {
    let key = DatabaseKey::generate(&mut OsEntropy);
    let bytes = match passphrase {
        None => Zeroizing::new(key.expose().to_vec()),
        Some(passphrase) => key
            .seal(passphrase, &mut OsEntropy)
            .map(Zeroizing::new)
            .map_err(|_| Failure::new(Kind::Internal, "the key cannot be sealed"))?,
    };
    write_private(path, &bytes)?;
    Ok(key)
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> wire::InviteLink {
        let (host, tenant, code) = ("localhost".into(), "acme".into(), "code".into());
        wire::InviteLink { host, port: 1, tenant, code, ca: [0xab; 32] }
    }

    #[test]
    fn what_an_invite_says_returns_without_its_code() {
        let directory = tempfile::tempdir().unwrap();
        let profile = Profile::open(directory.path()).unwrap();
        assert!(profile.address().is_err(), "a new profile knows no server");
        profile.remember(&ServerLine::from(&link())).unwrap();
        let address = profile.address().unwrap();
        assert_eq!((address.host.as_str(), address.port, address.tenant.as_str()), ("localhost", 1, "acme"));
        assert_eq!(address.fingerprint().unwrap(), [0xab; 32]);
        assert_eq!(address.line().unwrap(), ServerLine::from(&link()));
        assert!(!fs::read_to_string(directory.path().join("server.json")).unwrap().contains("code"));
    }

    #[test]
    fn a16_a_second_process_is_kept_away() {
        let directory = tempfile::tempdir().unwrap();
        let first = Profile::open(directory.path()).unwrap();
        assert_eq!(Profile::open(directory.path()).unwrap_err().kind, Kind::Storage);
        drop(first);
        assert!(Profile::open(directory.path()).is_ok());
    }

    #[test]
    fn a_sealed_profile_needs_its_passphrase() {
        let directory = tempfile::tempdir().unwrap();
        let profile = Profile::open(directory.path()).unwrap();
        let key = profile.key(Some(b"correct horse")).unwrap();
        assert_eq!(profile.key(Some(b"correct horse")).unwrap().expose(), key.expose());
        assert_eq!(profile.key(Some(b"wrong")).unwrap_err().kind, Kind::Usage);
        assert_eq!(profile.key(None).unwrap_err().kind, Kind::Usage);
        let stored = fs::read(directory.path().join("device.key")).unwrap();
        assert!(!stored.windows(8).any(|window| key.expose().starts_with(window)));
    }
}
