//! The file that holds the root key, sealed by a passphrase.
//!
//! `"mifeng root key\n" ‖ format: u8 ‖ key version: u32 ‖ memory KiB: u32 ‖ passes: u32 ‖ lanes: u32 ‖ salt: 16 bytes ‖
//! envelope ‖ SHA-256 of all before`. The passphrase becomes a key by Argon2id (RFC 9106); the envelope's authenticated data
//! holds everything before it. The plain hash at the end tells a damaged file from a wrong passphrase; it protects nothing.

use crate::envelope::{Cipher, Error, OVERHEAD_BYTES, Secret};
use crate::{Cell, Passphrase};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::digest;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use wire::TenantId;

const MAGIC: &[u8] = b"mifeng root key\n";
const FORMAT: u8 = 1;
const SALT_BYTES: usize = 16;
const HEAD_BYTES: usize = MAGIC.len() + 1 + 4 + 12 + SALT_BYTES;
const ENVELOPE_BYTES: usize = 32 + OVERHEAD_BYTES;
const FILE_BYTES: usize = HEAD_BYTES + ENVELOPE_BYTES + 32;

/// 46 MiB and one pass (OWASP's first choice for Argon2id): about 40 ms, because a server must be ready soon after its start.
const COST: Cost = Cost { memory_kib: 47_104, passes: 1, lanes: 1 };
/// What a file may ask for at most; more is damage or malice.
const COST_MAX: Cost = Cost { memory_kib: 1 << 20, passes: 16, lanes: 16 };

/// Why a root key's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootFileError {
    /// There is one already, and it is never overwritten.
    #[error("a root key file exists already and is not overwritten")]
    Exists,
    /// There is none.
    #[error("there is no root key file")]
    Missing,
    /// Reading or writing failed.
    #[error("the root key file cannot be read or written")]
    Io(#[source] io::Error),
    /// The file is damaged or is something else.
    #[error("the root key file is damaged or is no root key file: restore it from its backup")]
    Corrupt,
    /// A later version wrote it.
    #[error("the root key file has format {0}, which this version does not know")]
    Format(u8),
    /// The file is whole and the passphrase is another.
    #[error("the passphrase of the root key is wrong")]
    WrongPassphrase,
    /// Cryptography failed.
    #[error("the root key cannot be made")]
    Key(#[from] Error),
}

#[derive(Clone, Copy)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

pub(crate) fn write(path: &Path, passphrase: &Passphrase, version: u32, secret: &Secret) -> Result<(), RootFileError> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| Error::Library)?;
    let mut bytes = head(version, COST, &salt);
    let envelope = stretch(passphrase, &salt, COST)?.seal(cell(&bytes), secret.as_slice())?;
    bytes.extend_from_slice(&envelope);
    bytes.extend_from_slice(digest::digest(&digest::SHA256, &bytes).as_ref());
    write_new(path, &bytes).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => RootFileError::Exists,
        _ => RootFileError::Io(error),
    })
}

pub(crate) fn read(path: &Path, passphrase: &Passphrase) -> Result<(u32, Secret), RootFileError> {
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RootFileError::Missing,
        _ => RootFileError::Io(error),
    })?;
    file.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(RootFileError::Io)?;
    let file = parse(&bytes)?;
    let secret = stretch(passphrase, &file.salt, file.cost)?.open_secret(cell(file.head), file.envelope);
    match secret {
        Ok(secret) => Ok((file.version, secret)),
        Err(Error::Refused) => Err(RootFileError::WrongPassphrase),
        Err(_) => Err(RootFileError::Corrupt),
    }
}

struct Parsed<'b> {
    head: &'b [u8],
    version: u32,
    cost: Cost,
    salt: [u8; SALT_BYTES],
    envelope: &'b [u8],
}

fn parse(bytes: &[u8]) -> Result<Parsed<'_>, RootFileError> {
    let body = bytes.strip_prefix(MAGIC).ok_or(RootFileError::Corrupt)?;
    let (format, body) = body.split_first().ok_or(RootFileError::Corrupt)?;
    if *format != FORMAT {
        return Err(RootFileError::Format(*format));
    }
    parse_body(bytes, body).ok_or(RootFileError::Corrupt)
}

fn parse_body<'b>(bytes: &'b [u8], body: &'b [u8]) -> Option<Parsed<'b>> {
    let (covered, sum) = bytes.split_last_chunk::<32>()?;
    if bytes.len() != FILE_BYTES || digest::digest(&digest::SHA256, covered).as_ref() != sum {
        return None;
    }
    let (version, body) = body.split_first_chunk()?;
    let (memory_kib, body) = body.split_first_chunk()?;
    let (passes, body) = body.split_first_chunk()?;
    let (lanes, body) = body.split_first_chunk()?;
    let (salt, _) = body.split_first_chunk()?;
    let cost = Cost {
        memory_kib: u32::from_be_bytes(*memory_kib),
        passes: u32::from_be_bytes(*passes),
        lanes: u32::from_be_bytes(*lanes),
    };
    let fair = cost.memory_kib <= COST_MAX.memory_kib && cost.passes <= COST_MAX.passes && cost.lanes <= COST_MAX.lanes;
    fair.then_some(())?;
    let (head, envelope) = covered.split_at_checked(HEAD_BYTES)?;
    Some(Parsed { head, version: u32::from_be_bytes(*version), cost, salt: *salt, envelope })
}

fn head(version: u32, cost: Cost, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.push(FORMAT);
    for number in [version, cost.memory_kib, cost.passes, cost.lanes] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(salt);
    bytes
}

/// The file belongs to no tenant; its head is its row.
const fn cell(head: &[u8]) -> Cell<'_> {
    Cell { tenant: TenantId::from_bytes([0; 16]), table: "root key file", column: "root key", row: head }
}

fn stretch(passphrase: &Passphrase, salt: &[u8], cost: Cost) -> Result<Cipher, RootFileError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(|_| RootFileError::Corrupt)?;
    let mut key = Secret::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| Error::Library)?;
    Ok(Cipher::new(&key, 0)?)
}

/// Writes a file that was not there, durably, readable by its owner only.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RootKey;

    fn passphrase() -> Passphrase {
        Passphrase::new("tulip-granite-oyster-7").unwrap()
    }

    #[test]
    fn a_root_key_returns_from_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let tenant = TenantId::from_bytes([1; 16]);
        let made = RootKey::create(&path, &passphrase()).unwrap();
        let (_, wrapped) = made.create_tenant_key(tenant, 1).unwrap();
        assert!(RootKey::open(&path, &passphrase()).unwrap().open_tenant_key(tenant, 1, &wrapped).is_ok());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), FILE_BYTES as u64);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap()) & 0o777, 0o600);
    }

    #[test]
    fn b9_two_installs_share_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let tenant = TenantId::from_bytes([1; 16]);
        let (_, wrapped) = RootKey::create(&a, &passphrase()).unwrap().create_tenant_key(tenant, 1).unwrap();
        let other = RootKey::create(&b, &passphrase()).unwrap();
        assert_eq!(other.open_tenant_key(tenant, 1, &wrapped).err(), Some(Error::Refused));
        let (a, b) = (std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
        let secret_parts =
            |bytes: &[u8]| bytes[HEAD_BYTES - SALT_BYTES..].chunks(16).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert!(secret_parts(&a).iter().zip(secret_parts(&b)).skip(2).all(|(a, b)| *a != b));
    }

    #[test]
    fn a_wrong_passphrase_is_told_from_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        RootKey::create(&path, &passphrase()).unwrap();
        let wrong = Passphrase::new("tulip-granite-oyster-8").unwrap();
        assert!(matches!(RootKey::open(&path, &wrong), Err(RootFileError::WrongPassphrase)));

        let whole = std::fs::read(&path).unwrap();
        for index in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[index] ^= 1;
            let error = parse(&damaged).err();
            assert!(
                matches!(error, Some(RootFileError::Corrupt | RootFileError::Format(_))),
                "byte {index}: {error:?}"
            );
        }
        for len in (0..whole.len()).chain([whole.len() + 1]) {
            let mut cut = whole.clone();
            cut.resize(len, 0);
            assert!(parse(&cut).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_file_that_exists_is_not_overwritten_and_one_that_does_not_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        assert!(matches!(RootKey::open(&path, &passphrase()), Err(RootFileError::Missing)));
        std::fs::write(&path, b"precious").unwrap();
        assert!(matches!(RootKey::create(&path, &passphrase()), Err(RootFileError::Exists)));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        assert!(matches!(RootKey::open(&path, &passphrase()), Err(RootFileError::Corrupt)));
    }
}
