//! Where the root passphrase comes from. Whether it is good enough is [`keyring::Passphrase`]'s to say (ATTACKS B9), and
//! it is asked at every start, not only by `init`.

use crate::{config, files};
use keyring::{Passphrase, WeakPassphrase};
use std::{
    io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read the file.
    #[error("{path} may be read by others: chmod 600 it")]
    OpenToOthers {
        /// Which file.
        path: PathBuf,
    },
    /// There is no file, no variable and nobody to ask.
    #[error("no passphrase: give --passphrase-file, set MIFENG_ROOT_PASSPHRASE, or run in a terminal")]
    Nowhere(#[source] io::Error),
    /// It was typed differently the second time.
    #[error("the two passphrases differ")]
    Differ,
    /// It is too weak to guard a root key.
    #[error(transparent)]
    Weak(#[from] WeakPassphrase),
}

/// Obtains the passphrase from the file, the environment or the terminal, in this order. With `confirm` it is asked for
/// twice, as for a new one.
///
/// # Errors
/// [`PassphraseError`].
pub fn obtain(file: Option<&Path>, confirm: bool) -> Result<Passphrase, PassphraseError> {
    if let Some(path) = file {
        return Ok(Passphrase::new(&from_file(path)?)?);
    }
    if let Some(passphrase) = config::environment::root_passphrase() {
        return Ok(Passphrase::new(&passphrase)?);
    }
    let ask = |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(PassphraseError::Nowhere);
    let passphrase = ask("Root passphrase: ")?;
    if confirm && *ask("Once more: ")? != *passphrase {
        return Err(PassphraseError::Differ);
    }
    Ok(Passphrase::new(&passphrase)?)
}

/// The first line of a file that only its owner may read.
pub(crate) fn from_file(path: &Path) -> Result<Zeroizing<String>, PassphraseError> {
    let failed = |source| PassphraseError::File { path: path.into(), source };
    if files::is_open_to_others(path).map_err(failed)? {
        return Err(PassphraseError::OpenToOthers { path: path.into() });
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn file(mode: u32, text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let (_dir, path) = file(0o644, "tulip-granite-oyster-7\n");
        assert!(matches!(obtain(Some(&path), false), Err(PassphraseError::OpenToOthers { .. })));
    }

    #[test]
    fn b9_a_weak_passphrase_is_refused_at_every_start() {
        let (_dir, path) = file(0o600, "changeme2026!!\nsecond line\n");
        assert!(matches!(obtain(Some(&path), false), Err(PassphraseError::Weak(_))));
        let (_dir, path) = file(0o600, "tulip-granite-oyster-7\nsecond line\n");
        assert!(obtain(Some(&path), false).is_ok());
    }
}
