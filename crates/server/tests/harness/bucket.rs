//! What an S3 service does with a bucket, as far as a store of files needs it; in this process, and at fault when it is told to be.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use mifeng_server::config::{Blobs, BlobsKind, S3};
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

const BUCKET: &str = "files";
const REGION: &str = "test-1";
const ACCESS_KEY: &str = "mifeng";
/// What every object is said to be of.
const DATE: &str = "Mon, 30 Nov 2026 08:00:00 GMT";
const BODY_MAX_BYTES: usize = 1 << 20;

/// A bucket, and whether it answers.
#[derive(Clone, Default)]
pub struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    down: Arc<AtomicBool>,
    refused: Arc<AtomicU32>,
}

impl Bucket {
    /// Begins to serve; what a configuration says to use it. The secret key lies in `folder`.
    pub async fn serve(&self, folder: &Path) -> Blobs {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let secret_key_file = folder.join("secret-key");
        std::fs::write(&secret_key_file, "only for tests\n").unwrap();
        std::fs::set_permissions(&secret_key_file, Permissions::from_mode(0o600)).unwrap();
        let (region, bucket, access_key) = (REGION.into(), BUCKET.into(), ACCESS_KEY.into());
        let s3 = S3 { endpoint, region, bucket, access_key, secret_key_file, ca_file: None };
        Blobs { kind: BlobsKind::S3, s3: Some(s3), ..Blobs::default() }
    }

    /// Every object.
    pub fn objects(&self) -> Vec<(String, Vec<u8>)> {
        self.objects.lock().unwrap().iter().map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
    }

    /// Has the service refuse everything, or work again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Requests that were refused because it was down.
    pub fn refused(&self) -> u32 {
        self.refused.load(Ordering::SeqCst)
    }
}

async fn answer(State(bucket): State<Bucket>, request: Request) -> Response {
    if bucket.down.load(Ordering::SeqCst) {
        bucket.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if !is_signed(request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX_BYTES).await.unwrap();
    let query = parts.uri.query().unwrap_or_default();
    let Some(name) = parts.uri.path().strip_prefix(&format!("/{BUCKET}")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let name = name.trim_start_matches('/');
    let mut objects = bucket.objects.lock().unwrap();
    match (parts.method, name) {
        (Method::GET, "") => list(&objects, query).into_response(),
        (Method::POST, "") if query.contains("delete") => {
            let mut xml = String::from("<DeleteResult>");
            for name in between(std::str::from_utf8(&body).unwrap(), "<Key>", "</Key>") {
                objects.remove(name);
                write!(xml, "<Deleted><Key>{name}</Key></Deleted>").unwrap();
            }
            (xml + "</DeleteResult>").into_response()
        }
        (Method::PUT, name) => {
            objects.insert(name.into(), body.to_vec());
            [(header::ETAG, "\"it\"")].into_response()
        }
        (Method::DELETE, name) => {
            objects.remove(name);
            StatusCode::NO_CONTENT.into_response()
        }
        (Method::GET, name) => match objects.get(name) {
            Some(bytes) => {
                ([(header::ETAG, "\"it\""), (header::LAST_MODIFIED, DATE)], Body::from(bytes.clone())).into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        },
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Whether somebody with the access key has signed it for this region; with which secret, this does not check.
fn is_signed(headers: &HeaderMap) -> bool {
    let signature = headers.get(header::AUTHORIZATION).map_or("", |value| value.to_str().unwrap());
    signature.starts_with(&format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/")) && signature.contains(REGION)
}

fn list(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> String {
    let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default().replace("%2F", "/");
    let mut xml = format!("<ListBucketResult><Name>{BUCKET}</Name><IsTruncated>false</IsTruncated>");
    for (name, bytes) in objects.iter().filter(|(name, _)| name.starts_with(&prefix)) {
        let size = bytes.len();
        write!(
            xml,
            "<Contents><Key>{name}</Key><Size>{size}</Size><ETag>it</ETag><LastModified>2026-11-30T08:00:00.000Z</LastModified></Contents>"
        )
        .unwrap();
    }
    xml + "</ListBucketResult>"
}

fn between<'a>(text: &'a str, begin: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(begin).skip(1).filter_map(move |rest| rest.split(end).next())
}
