//! The listeners under attack: old TLS, wrong certificates, slow and greedy peers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use harness::{
    Server,
    line::{Gone, Line},
    phone::{Pair, Phone},
    trusting,
};
use mifeng_server::{
    admin::{Caller, ListTenants, Suite},
    clock,
    tls::{Plane, issue, load},
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use wire::{ErrorCode, Event, frame, limits, request::*};

const SOON: Duration = Duration::from_secs(10);

fn address(server: &Server, plane: Plane) -> SocketAddr {
    match plane {
        Plane::Clients => server.addresses.clients,
        Plane::Admin => server.addresses.admin,
        Plane::Internal => server.addresses.internal,
    }
}

/// A TLS 1.2 ClientHello without `supported_versions`, with the suites that TLS 1.2 servers like best.
fn client_hello_12() -> Vec<u8> {
    let suites: &[u8] = &[0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc, 0xa8];
    let groups: &[u8] = &[0, 10, 0, 6, 0, 4, 0, 0x1d, 0, 0x17];
    let schemes: &[u8] = &[0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1];
    let extensions = [groups, schemes].concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend((suites.len() as u16).to_be_bytes());
    body.extend(suites);
    body.extend([1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend((body.len() as u16).to_be_bytes());
    handshake.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((handshake.len() as u16).to_be_bytes());
    record.extend(handshake);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_tls_1_2_is_refused_on_every_port() {
    let server = Server::start().await;
    for plane in Plane::ALL {
        let mut stream = TcpStream::connect(address(&server, plane)).await.unwrap();
        stream.write_all(&client_hello_12()).await.unwrap();
        let mut answer = Vec::new();
        timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        // A fatal alert, protocol_version (RFC 8446 §6.2).
        assert_eq!(answer.get(5..7), Some([2, 70].as_slice()), "{plane:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_the_hybrid_key_exchange_is_what_is_negotiated() {
    let server = Server::start().await;
    let stream = TcpStream::connect(server.addresses.clients).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(server.tls()).connect(name, stream).await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

/// Puts a certificate for the caller into the plane's files, by the authority that lies in `by`.
fn caller_certificate(data: &Path, by: &Path, plane: Plane, change: impl FnOnce(&mut CertificateParams)) {
    let (own, by) = (plane.files(data), plane.files(by));
    let ca_key = KeyPair::from_pem(&fs::read_to_string(by.ca_key()).unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&fs::read_to_string(by.ca()).unwrap(), ca_key).unwrap();
    let mut params = CertificateParams::new([format!("caller.{}", plane.server_name())]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    fs::write(own.client(), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    fs::write(own.client_key(), key.serialize_pem()).unwrap();
}

/// Puts the other plane's certificate, as `init` made it, into the plane's files.
fn show_certificate_of(data: &Path, plane: Plane, other: Plane) {
    let (own, others) = (plane.files(data), other.files(data));
    if fs::read(others.client()).unwrap() == fs::read(own.client()).unwrap() {
        panic!("the same certificate");
    }
    fs::copy(others.client(), own.client()).unwrap();
    fs::copy(others.client_key(), own.client_key()).unwrap();
}

/// Whether a caller with the certificate that lies in the plane's files gets an answer.
async fn is_let_in(server: &Server, plane: Plane) -> bool {
    let path = if plane == Plane::Admin { "/v1/list_tenants" } else { "/metrics" };
    let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
    let tls = load::client(&server.data(), plane).unwrap();
    answers(server, plane, tls, plane.server_name(), &request).await
}

async fn answers(server: &Server, plane: Plane, tls: Arc<rustls::ClientConfig>, name: &str, request: &str) -> bool {
    let stream = TcpStream::connect(address(server, plane)).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let Ok(mut stream) = TlsConnector::from(tls).connect(name, stream).await else { return false };
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
    answer.starts_with(b"HTTP/1.1 ")
}

#[tokio::test(flavor = "multi_thread")]
async fn c9_only_the_planes_own_client_certificate_is_let_in() {
    let server = Server::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    harness::init(elsewhere.path());
    let data = server.data();
    for (plane, other) in [(Plane::Admin, Plane::Internal), (Plane::Internal, Plane::Admin)] {
        assert!(is_let_in(&server, plane).await, "{plane:?}: its own certificate");
        caller_certificate(&data, &data, plane, |_| {});
        assert!(is_let_in(&server, plane).await, "{plane:?}: a new one by the same authority (the control)");
        let day = time::Duration::days(1);
        let now = time::OffsetDateTime::from_unix_timestamp((clock::now() / 1_000) as i64).unwrap();
        caller_certificate(&data, &data, plane, |params| {
            (params.not_before, params.not_after) = (now - day * 9, now - day)
        });
        assert!(!is_let_in(&server, plane).await, "{plane:?}: expired");
        caller_certificate(&data, &data, plane, |params| {
            (params.not_before, params.not_after) = (now + day, now + day * 9)
        });
        assert!(!is_let_in(&server, plane).await, "{plane:?}: not yet valid");
        caller_certificate(&data, &data, plane, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        assert!(!is_let_in(&server, plane).await, "{plane:?}: for servers only");
        caller_certificate(&data, elsewhere.path(), plane, |_| {});
        assert!(!is_let_in(&server, plane).await, "{plane:?}: another installation's authority");
        show_certificate_of(&data, plane, other);
        assert!(!is_let_in(&server, plane).await, "{plane:?}: another plane's");
        let request = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let nobody = trusting(&plane.files(&data).ca());
        assert!(!answers(&server, plane, nobody, plane.server_name(), request).await, "{plane:?}: none");
        // For the other plane, which takes this one's next.
        caller_certificate(&data, &data, plane, |_| {});
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c9_a_caller_refuses_a_server_with_another_name_or_authority() {
    let server = Server::start().await;
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(answers(&server, Plane::Clients, server.tls(), "localhost", request).await, "the control");
    assert!(!answers(&server, Plane::Clients, server.tls(), "example.org", request).await, "another name");
    let other_ca = trusting(&Plane::Admin.files(&server.data()).ca());
    assert!(!answers(&server, Plane::Clients, other_ca, "localhost", request).await, "another authority");
    // The admin caller, sent to the devices' port by a forged file of addresses.
    let forged = mifeng_server::process::Addresses { admin: server.addresses.clients, ..server.addresses };
    fs::write(server.data().join("addresses.json"), serde_json::to_vec(&forged).unwrap()).unwrap();
    assert!(Caller::of(&server.data()).unwrap().call_async(&ListTenants {}).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_without_a_restart_and_a_broken_one_is_not() {
    let server = Server::start().await;
    let serial = async |server: &Server| {
        let stream = TcpStream::connect(server.addresses.clients).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(server.tls()).connect(name, stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let first = serial(&server).await;
    issue::server(&server.data(), Plane::Clients, &["localhost".into()], clock::now()).unwrap();
    let mut second = first.clone();
    for _ in 0..80 {
        second = serial(&server).await;
        if second != first {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_ne!(first, second);
    fs::write(Plane::Clients.files(&server.data()).server(), "no certificate").unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(serial(&server).await, second, "the old one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_who_does_not_speak_is_dropped_and_others_are_served() {
    let server = Server::with(|config| {
        config.limits.handshake_timeout_ms = 300;
        config.limits.authenticate_timeout_ms = 800;
    })
    .await;
    server.tenant("acme", Suite::Classical).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(server.addresses.clients).await.unwrap());
    }
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(server.addresses.clients).await.unwrap();
    let mut dripping = TlsConnector::from(server.tls()).connect(name, stream).await.unwrap();
    dripping.write_all(b"GET /v1/connect HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let (mut anonymous, _) = Line::hello(&server, "acme").await;
    for mut stream in silent {
        let read = timeout(SOON, stream.read(&mut [0; 16])).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)), "a silent handshake");
    }
    let mut rest = Vec::new();
    let _ = timeout(SOON, dripping.read_to_end(&mut rest)).await.expect("a dripping head");
    assert_eq!(anonymous.gone().await, Gone(Some(1001)), "a connection that never authenticates");
    for _ in 0..100 {
        if server.node().caps.taken() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} places are still taken", server.node().caps.taken());
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_one_address_gets_so_many_connections() {
    let server = Server::with(|config| config.limits.connections_per_address = 2).await;
    let (first, _second) = (Line::connect(&server).await, Line::connect(&server).await);
    assert!(Line::try_connect(&server).await.is_err());
    first.close().await;
    for _ in 0..100 {
        if Line::try_connect(&server).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place did not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_frames_that_are_too_large_or_cut_are_refused() {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let alice = Phone::join(&server, "acme", "alice").await;
    let hello = |agent: usize| Hello { version: 1, tenant: "acme".into(), agent: "x".repeat(agent) };

    let mut line = Line::connect(&server).await;
    let large = line.call(&hello(limits::ANONYMOUS_FRAME_MAX_BYTES)).await.unwrap_err();
    assert_eq!(large.code(), Some(ErrorCode::TooLarge), "more than a stranger may send at once");
    assert!(line.call(&hello(4)).await.is_ok(), "a refusal does not end the connection");

    let mut line = Line::connect(&server).await;
    let mut refused = 0;
    while let Some(id) = line.try_begin(&hello(10_000)).await
        && line.answer::<Hello>(id).await.is_ok()
    {
        refused += 1;
        assert!(refused < 10, "more than a stranger may send at all");
    }

    let mut line = alice.connect(&server).await;
    let send = Send {
        conversation: wire::ConversationId::from_bytes([1; 16]),
        epoch: 0,
        message_id: wire::MessageId::from_bytes([2; 16]),
        payload: vec![0; limits::FRAME_MAX_BYTES],
    };
    line.try_raw(Message::Binary(frame::request(7, &send).into())).await;
    assert!(matches!(line.gone().await, Gone(_)), "more than a device may send at once");

    let whole = frame::request(7, &hello(4));
    for len in 0..whole.len() {
        let mut line = Line::connect(&server).await;
        line.raw(whole[..len].to_vec()).await;
        match line.frame().await {
            Err(Gone(code)) => assert_eq!(code, Some(1002), "{len} bytes"),
            Ok(harness::line::Frame::Refused(7, refusal)) => assert_eq!(refusal.code(), Some(ErrorCode::Malformed)),
            Ok(other) => panic!("{len} bytes: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_ends_the_connection_and_what_is_unknown_does_not() {
    let server = Server::start().await;
    let unknown = [0x83, 0x07, 0x19, 0x7f, 0xff, 0xa0];
    let mut line = Line::connect(&server).await;
    line.raw(unknown.to_vec()).await;
    let harness::line::Frame::Refused(7, refusal) = line.frame().await.unwrap() else { panic!("no refusal") };
    assert_eq!(refusal.code(), Some(ErrorCode::UnknownOperation));
    for wrong in [
        Message::Text("hello".into()),
        Message::Binary(vec![0x83, 0x00, 0x01, 0xa0].into()),
        Message::Binary(b"GET / HTTP/1.1".to_vec().into()),
    ] {
        let mut line = Line::connect(&server).await;
        line.try_raw(wrong).await;
        assert_eq!(line.gone().await, Gone(Some(1002)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_a_reader_that_does_not_read_is_dropped_and_loses_nothing() {
    let server = Server::with(|config| {
        config.limits.queue_frames = 64;
        config.limits.slow_reader_timeout_ms = 1_000;
    })
    .await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let before = server.node().hub.online();
    let count = 400_u64;
    for _ in 0..count {
        let sent = pair.alice.seal(pair.conversation, pair.group, &[7; 60_000]);
        pair.to_alice.call(&sent).await.unwrap();
    }
    for _ in 0..300 {
        if server.node().hub.online() < before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.node().hub.online(), before - 1, "the slow reader is gone, the sender is not");
    let mut to_bob = pair.bob.connect(&server).await;
    let mut after = 1;
    while after < count + 1 {
        let fetch = Fetch { conversation: pair.conversation, after, limit: 500 };
        let fetched = to_bob.call(&fetch).await.unwrap();
        assert_eq!(fetched.entries.first().map(|entry| entry.seq), Some(after + 1));
        after = fetched.entries.last().unwrap().seq;
    }
    assert_eq!(after, count + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_a_half_open_connection_is_noticed_and_a_quiet_one_is_kept() {
    let server = Server::with(|config| config.limits.idle_timeout_ms = 3_000).await;
    server.tenant("acme", Suite::Classical).await;
    let (alice, bob) = (Phone::join(&server, "acme", "alice").await, Phone::join(&server, "acme", "bob").await);
    let _half_open = alice.connect(&server).await;
    let mut quiet = bob.connect(&server).await;
    // Reading answers the server's pings; nothing else is ever sent.
    let reading =
        tokio::spawn(async move { (timeout(Duration::from_millis(5_500), quiet.gone()).await.is_err(), quiet) });
    assert_eq!(server.node().hub.online(), 2);
    let (kept, _quiet) = reading.await.unwrap();
    assert!(kept, "the quiet one was dropped");
    assert_eq!(server.node().hub.online(), 1, "the half-open one was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_tells_devices_and_waits_for_nobody_in_vain() {
    let mut server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let alice = Phone::join(&server, "acme", "alice").await;
    let mut device = alice.connect(&server).await;
    let (mut guest, _) = Line::hello(&server, "acme").await;
    let told = tokio::spawn(async move {
        let event = device.event().await;
        (event, device.gone().await, guest.gone().await)
    });
    timeout(SOON, server.drain()).await.unwrap();
    assert_eq!(told.await.unwrap(), (Event::Draining, Gone(Some(1012)), Gone(Some(1012))));
}

async fn admin_status(server: &Server, request: &str) -> String {
    let stream = TcpStream::connect(server.addresses.admin).await.unwrap();
    let name = ServerName::try_from(Plane::Admin.server_name()).unwrap();
    let tls = load::client(&server.data(), Plane::Admin).unwrap();
    let mut stream = TlsConnector::from(tls).connect(name, stream).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_that_is_wrong_is_told_and_changes_nothing() {
    let server = Server::start().await;
    let post = |path: &str, body: &str| {
        let len = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
    };
    let cases = [
        (post("/v1/grant_everything", "{}"), "400", "unknown_operation"),
        (post("/v1/create_tenant", "{"), "400", "malformed"),
        (post("/v1/create_tenant", "{\"name\":\"a\",\"suite\":\"rot13\"}"), "400", "malformed"),
        (post("/v1/create_tenant", "{\"name\":\"a\",\"suite\":\"classical\",\"admin\":true}"), "400", "malformed"),
        (post("/v1/create_tenant", "{\"name\":\"../a\",\"suite\":\"classical\"}"), "400", "malformed"),
        (post("/v1/create_invite", "{\"tenant\":\"a\",\"life_ms\":1,\"uses\":1}"), "400", "unknown_tenant"),
        (post("/v1/delete_tenant", "{\"name\":\"a\"}"), "400", "not_found"),
        (post("/v1/create_tenant", &" ".repeat(20_000)), "413", ""),
        ("GET /v1/list_tenants HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "405", ""),
        ("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "404", ""),
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), "404", ""),
    ];
    for (request, status, code) in cases {
        let answer = admin_status(&server, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code), "{request:.80}: {answer}");
    }
    assert!(server.admin().call_async(&ListTenants {}).await.unwrap().tenants.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_administration_are_not_on_the_devices_port() {
    let server = Server::start().await;
    let absent = [("/metrics", "404"), ("/v1/list_tenants", "404"), ("/index.html", "404")];
    let present = [("/healthz", "200"), ("/readyz", "200"), ("/", "200"), ("/about.json", "200")];
    for (path, status) in absent.into_iter().chain(present) {
        let stream = TcpStream::connect(server.addresses.clients).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(server.tls()).connect(name, stream).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{path}");
    }
}
