//! Where the parts of blobs lie: a folder, or a bucket of an S3 service. Devices have sealed them, and
//! [`store::Tx::seal_part`] has once more; who gets at them here has nothing.

use crate::{
    BLOBS_FOLDER,
    config::{self, BlobsKind},
    files, passphrase,
};
use anyhow::Context;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{
    Certificate, ClientOptions, Error, ObjectStore, ObjectStoreExt, RetryConfig, aws::AmazonS3Builder,
    local::LocalFileSystem, path::Path as Name,
};
use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};
use wire::{BlobId, TenantId};

/// A bucket that does not answer within this time is told to be unavailable: devices give a connection up for dead at 30 s
/// without an answer, and ask again later.
const PATIENCE: Duration = Duration::from_secs(10);

/// The parts of all blobs.
#[derive(Debug, Clone)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
}

impl Blobs {
    /// Opens the place that the configuration names; a folder is made if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made, or the address or a key of the bucket cannot be used. A bucket is not asked yet.
    pub fn open(data: &Path, config: &config::Blobs) -> anyhow::Result<Self> {
        let objects: Arc<dyn ObjectStore> = match (config.kind, &config.s3) {
            (BlobsKind::S3, Some(s3)) => Arc::new(bucket(s3).context("cannot use [blobs.s3]")?),
            _ => {
                let folder = data.join(BLOBS_FOLDER);
                files::create_private_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
                Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true).with_automatic_cleanup(true))
            }
        };
        Ok(Self { objects })
    }

    /// Stores a part durably, in place of the one before.
    ///
    /// # Errors
    /// What the file system or the service says.
    pub async fn put(&self, tenant: TenantId, blob: BlobId, part: u32, bytes: Vec<u8>) -> Result<(), Error> {
        self.objects.put(&name(tenant, blob, part), Bytes::from(bytes).into()).await.map(drop)
    }

    /// A part; `None` if it is not there.
    ///
    /// # Errors
    /// What the file system or the service says.
    pub async fn get(&self, tenant: TenantId, blob: BlobId, part: u32) -> Result<Option<Bytes>, Error> {
        match self.objects.get(&name(tenant, blob, part)).await {
            Ok(found) => found.bytes().await.map(Some),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many parts there are before the first that is missing.
    ///
    /// # Errors
    /// What the file system or the service says.
    pub async fn held(&self, tenant: TenantId, blob: BlobId) -> Result<u32, Error> {
        let folder = folder(tenant, blob);
        let parts: BTreeSet<u32> = self
            .objects
            .list(Some(&folder))
            .try_filter_map(
                |object| async move { Ok(object.location.filename().and_then(|name| name.parse::<u32>().ok())) },
            )
            .try_collect()
            .await?;
        Ok((0..).zip(&parts).take_while(|(place, part)| place == *part).count() as u32)
    }

    /// Removes every part of a blob, and what else lies in its place.
    ///
    /// # Errors
    /// What the file system or the service says; what was removed until then stays removed.
    pub async fn remove(&self, tenant: TenantId, blob: BlobId) -> Result<(), Error> {
        self.remove_below(&folder(tenant, blob)).await
    }

    /// Removes everything of a tenant.
    ///
    /// # Errors
    /// As [`Blobs::remove`].
    pub async fn remove_tenant(&self, tenant: TenantId) -> Result<(), Error> {
        self.remove_below(&Name::from(tenant.to_string())).await
    }

    async fn remove_below(&self, folder: &Name) -> Result<(), Error> {
        let mut objects = self.objects.list(Some(folder));
        while let Some(object) = objects.try_next().await? {
            match self.objects.delete(&object.location).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn bucket(s3: &config::S3) -> anyhow::Result<object_store::aws::AmazonS3> {
    let secret = passphrase::from_file(&s3.secret_key_file)?;
    let mut client = ClientOptions::new().with_allow_http(s3.is_local()).with_timeout(PATIENCE);
    if let Some(file) = &s3.ca_file {
        let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        client = Certificate::from_pem_bundle(&pem)?.into_iter().fold(client, ClientOptions::with_root_certificate);
    }
    let builder = AmazonS3Builder::new()
        .with_endpoint(&s3.endpoint)
        .with_region(&s3.region)
        .with_bucket_name(&s3.bucket)
        .with_access_key_id(&s3.access_key)
        .with_secret_access_key(secret.as_str())
        .with_client_options(client)
        .with_retry(RetryConfig { max_retries: 2, retry_timeout: PATIENCE, ..RetryConfig::default() });
    Ok(builder.build()?)
}

fn folder(tenant: TenantId, blob: BlobId) -> Name {
    Name::from_iter([tenant.to_string(), blob.to_string()])
}

fn name(tenant: TenantId, blob: BlobId, part: u32) -> Name {
    folder(tenant, blob).join(format!("{part:08}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId::from_bytes([1; 16]);
    const BLOB: BlobId = BlobId::from_bytes([2; 16]);

    #[tokio::test]
    async fn parts_lie_where_they_were_put_until_they_are_removed() {
        let data = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(data.path(), &config::Blobs::default()).unwrap();
        let other = BlobId::from_bytes([3; 16]);
        for (part, bytes) in [(0, "zero"), (1, "one"), (3, "three"), (1, "uno")] {
            blobs.put(TENANT, BLOB, part, bytes.into()).await.unwrap();
        }
        blobs.put(TENANT, other, 0, b"other".to_vec()).await.unwrap();
        assert_eq!(blobs.held(TENANT, BLOB).await.unwrap(), 2, "the third is missing");
        assert_eq!(blobs.get(TENANT, BLOB, 1).await.unwrap().unwrap(), "uno");
        assert_eq!(blobs.get(TENANT, BLOB, 2).await.unwrap(), None);
        blobs.remove(TENANT, BLOB).await.unwrap();
        assert_eq!((blobs.held(TENANT, BLOB).await.unwrap(), blobs.held(TENANT, other).await.unwrap()), (0, 1));
        blobs.remove(TENANT, BLOB).await.unwrap();
        blobs.remove_tenant(TENANT).await.unwrap();
        assert_eq!(std::fs::read_dir(data.path().join(BLOBS_FOLDER)).unwrap().count(), 0, "no folder is left empty");
        assert!(!files::is_open_to_others(&data.path().join(BLOBS_FOLDER)).unwrap());
    }
}
