//! The browser's program: files that are embedded in this one, and served as they are.
//!
//! Whoever is served a program trusts who serves it; `docs/security/limits.md` says what that means. The hash of all files
//! is told at the start and at `/about.json`, so that two people, or a person and a release, can compare what they got.

use aws_lc_rs::digest::{Context, SHA256, digest};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{collections::BTreeMap, fmt::Write, sync::Arc};

/// Files whose name holds their hash.
const HASHED: &str = "/assets/";
/// What a file of this ending holds is the file without it, compressed.
const BROTLI: &str = ".br";
const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Mifeng</title><p>This mifengd was built without the browser's \
                         program. <code>cargo xtask web</code> builds it; then build mifengd again.\n";

/// Nothing but what comes from here runs, is shown or is talked to; no inline script or style, no form, no frame. Pictures and
/// sounds can also be what the page itself has opened: `blob:` is what a script of this origin has made.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; \
     style-src 'self'; img-src 'self' blob:; media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types mifeng";

const HEADERS: [(header::HeaderName, &str); 9] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        header::HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(self), payment=(), usb=()",
    ),
];

static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/web.rs"));

/// The files, by path.
#[derive(Debug)]
pub struct Assets {
    files: BTreeMap<&'static str, File>,
    bundle: String,
}

#[derive(Debug)]
struct File {
    bytes: &'static [u8],
    brotli: Option<&'static [u8]>,
    tag: String,
}

impl Assets {
    /// Those that this program was built with; perhaps none.
    pub fn embedded() -> Self {
        Self::new(EMBEDDED)
    }

    /// These files: paths that begin with `/`, and their bytes. One that ends in `.br` is the compressed form of another.
    pub fn new(files: &[(&'static str, &'static [u8])]) -> Self {
        let by_path: BTreeMap<&'static str, &'static [u8]> = files.iter().copied().collect();
        let mut whole = Context::new(&SHA256);
        let mut assets = BTreeMap::new();
        for (path, bytes) in by_path.iter().filter(|(path, _)| !path.ends_with(BROTLI)) {
            let hash = digest(&SHA256, bytes);
            whole.update(path.as_bytes());
            whole.update(&[0]);
            whole.update(hash.as_ref());
            let brotli = by_path.get(format!("{path}{BROTLI}").as_str()).copied();
            assets.insert(*path, File { bytes, brotli, tag: format!("\"{}\"", hex(hash.as_ref())) });
        }
        Self { files: assets, bundle: hex(whole.finish().as_ref()) }
    }

    /// SHA-256 over the paths and hashes of all files, in hexadecimal; `None` without any.
    pub fn bundle(&self) -> Option<&str> {
        (!self.files.is_empty()).then_some(self.bundle.as_str())
    }

    /// The paths that are served, and what answers there.
    pub fn routes(self: Arc<Self>) -> Router {
        let mut router = Router::new().route("/", get(file)).route("/about.json", get(about));
        for path in self.files.keys().filter(|path| **path != "/index.html") {
            router = router.route(path, get(file));
        }
        router.with_state(self)
    }
}

async fn file(State(assets): State<Arc<Assets>>, uri: Uri, request: HeaderMap) -> Response {
    let path = if uri.path() == "/" { "/index.html" } else { uri.path() };
    let Some(file) = assets.files.get(path) else { return with_headers("text/html; charset=utf-8", NOT_BUILT.into()) };
    let is_known = request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == file.tag.as_bytes());
    let brotli = file.brotli.filter(|_| takes_brotli(&request));
    let mut response = match is_known {
        true => with_headers(media_type(path), Body::empty()),
        false => with_headers(media_type(path), Body::from(brotli.unwrap_or(file.bytes))),
    };
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if brotli.is_some() {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    let cache = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&file.tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

async fn about(State(assets): State<Arc<Assets>>) -> Response {
    let about = serde_json::json!({ "bundle": assets.bundle(), "version": env!("CARGO_PKG_VERSION") });
    let mut response = with_headers("application/json", Body::from(about.to_string()));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_headers(media_type: &'static str, body: Body) -> Response {
    ([(header::CONTENT_TYPE, media_type)], HEADERS.map(|(name, value)| (name, value)), body).into_response()
}

fn takes_brotli(request: &HeaderMap) -> bool {
    let taken = request.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    taken.split(',').any(|coding| coding.trim() == "br")
}

/// What a browser is told that a file is. What is not known is bytes, which no browser runs.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{Method, Request};
    use tower::ServiceExt;

    const FILES: &[(&str, &[u8])] = &[
        ("/index.html", b"<page>"),
        ("/assets/a-1.js", b"script"),
        ("/assets/a-1.js.br", b"compressed"),
        ("/assets/b-2.wasm", b"\0asm"),
        ("/service.js", b"keeps"),
    ];

    async fn ask(
        files: &[(&'static str, &'static [u8])],
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Arc::new(Assets::new(files)).routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn files_have_their_types_and_caching_by_hash() {
        for (path, media, cache) in [
            ("/", "text/html; charset=utf-8", "no-cache"),
            ("/assets/a-1.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
            ("/assets/b-2.wasm", "application/wasm", "public, max-age=31536000, immutable"),
            // A browser that kept it for long would keep everything else for as long.
            ("/service.js", "text/javascript; charset=utf-8", "no-cache"),
        ] {
            let response = ask(FILES, Method::GET, path, &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!((header(&response, "content-type"), header(&response, "cache-control")), (media, cache));
            let tag = header(&response, "etag").to_owned();
            let again = ask(FILES, Method::GET, path, &[("if-none-match", &tag)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        }
        let response = ask(FILES, Method::GET, "/assets/a-1.js", &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(header(&response, "content-encoding"), "br");
    }

    #[tokio::test]
    async fn nothing_foreign_or_inline_may_run_and_only_what_is_there_is_served() {
        for path in ["/", "/assets/a-1.js", "/service.js", "/about.json"] {
            let response = ask(FILES, Method::GET, path, &[]).await;
            let policy = header(&response, "content-security-policy");
            assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe-inline"), "{path}: {policy}");
            assert!(!policy.contains("'unsafe-eval'") && !policy.contains("http"), "{policy}");
            assert_eq!(header(&response, "cross-origin-embedder-policy"), "require-corp", "{path}");
            assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{path}");
        }
        for path in [
            "/assets/a-1.js.br",
            "/assets/",
            "/index.html",
            "/assets/../index.html",
            "/assets/%2e%2e/index.html",
            "/etc/passwd",
        ] {
            assert_eq!(ask(FILES, Method::GET, path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(ask(FILES, method, "/", &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
        }
    }

    #[tokio::test]
    async fn without_files_the_page_says_how_to_build_them() {
        let response = ask(&[], Method::GET, "/", &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap();
        assert!(std::str::from_utf8(&body).unwrap().contains("cargo xtask web"));
        assert_eq!(Assets::new(&[]).bundle(), None);
    }

    #[test]
    fn the_bundle_is_another_when_any_file_is() {
        let one = Assets::new(FILES);
        let changed: Vec<_> = FILES
            .iter()
            .map(|(path, bytes)| (*path, if *path == "/assets/a-1.js" { b"scripT".as_slice() } else { *bytes }))
            .collect();
        let other = Assets::new(&changed);
        assert_ne!(one.bundle(), other.bundle());
    }
}
