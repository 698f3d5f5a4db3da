//! `[blobs]`: where the parts of blobs lie, and how much there may be of them.

use super::ConfigError;
use rules::blob::Terms;
use serde::Deserialize;
use std::path::PathBuf;

/// Files that people send.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Blobs {
    /// Where they are kept.
    pub kind: BlobsKind,
    /// Bytes of the largest file.
    pub file_bytes: u64,
    /// Bytes of all files of one person together.
    pub user_bytes: u64,
    /// Days for which a file is kept.
    pub days: u16,
    /// The bucket, for `kind = "s3"`.
    pub s3: Option<S3>,
}

/// Where files are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobsKind {
    /// In a folder of the data directory.
    #[default]
    Directory,
    /// In a bucket of an S3 service.
    S3,
}

/// A bucket of an S3 service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// `https://…`; `http://` is taken for this machine only.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket, which exists.
    pub bucket: String,
    /// Names the key that requests are signed by.
    pub access_key: String,
    /// That key, on the first line of a file that only its owner may read.
    pub secret_key_file: PathBuf,
    /// The authorities of the service's certificate, in PEM, if the system does not trust them.
    pub ca_file: Option<PathBuf>,
}

impl Blobs {
    /// How much and how long.
    pub const fn terms(&self) -> Terms {
        Terms { user_bytes: self.user_bytes, file_bytes: self.file_bytes, days: self.days }
    }

    /// Checks what the types cannot say. Reads no file.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |key, text| Err(ConfigError::Range { key, text });
        if self.file_bytes == 0 || self.file_bytes > wire::limits::FILE_MAX_BYTES {
            return wrong("blobs.file_bytes", "must be above 0, and not above 2147483648");
        }
        if self.days == 0 {
            return wrong("blobs.days", "must not be 0");
        }
        match (self.kind, &self.s3) {
            (BlobsKind::Directory, Some(_)) => wrong("blobs.s3", "is for kind = \"s3\""),
            (BlobsKind::S3, None) => wrong("blobs.s3", "is needed for kind = \"s3\""),
            (BlobsKind::S3, Some(s3)) if !s3.is_private() => {
                wrong("blobs.s3.endpoint", "must begin with https:// unless it is on 127.0.0.1")
            }
            _ => Ok(()),
        }
    }
}

impl S3 {
    fn is_private(&self) -> bool {
        self.endpoint.starts_with("https://") || self.is_local()
    }

    /// Whether it is reached without TLS, on this machine.
    pub fn is_local(&self) -> bool {
        self.endpoint.starts_with("http://127.0.0.1:")
    }
}

impl Default for Blobs {
    fn default() -> Self {
        let file_bytes = wire::limits::FILE_MAX_BYTES;
        Self { kind: BlobsKind::Directory, file_bytes, user_bytes: 20 << 30, days: 365, s3: None }
    }
}
