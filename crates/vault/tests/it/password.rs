//! Both halves of OPAQUE against each other; the server's half is the library itself here.

use crate::Seeded;
use mifeng_vault::Entropy;
use mifeng_vault::password::{Login, PasswordError, Registration};
use opaque_ke::rand::{CryptoRng, Error, RngCore};
use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload, ServerLogin,
    ServerLoginParameters, ServerRegistration, ServerSetup,
};
use trust::password::{Suite, context};
use wire::TenantId;

const TENANT: TenantId = TenantId::from_bytes([3; 16]);

/// The server's randomness in these tests.
struct Rng(Seeded);

impl CryptoRng for Rng {}

impl RngCore for Rng {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

struct Server {
    setup: ServerSetup<Suite>,
    record: Option<ServerRegistration<Suite>>,
}

impl Server {
    fn with_password(password: &[u8]) -> Self {
        let (setup, entropy) = (ServerSetup::<Suite>::new(&mut Rng(Seeded(7))), &mut Seeded(1));
        let (registration, request) = Registration::start(password, entropy).unwrap();
        let request = RegistrationRequest::deserialize(&request).unwrap();
        let response = ServerRegistration::<Suite>::start(&setup, request, b"alice").unwrap().message.serialize();
        let (upload, _) = registration.finish(password, &response, entropy).unwrap();
        let upload = RegistrationUpload::<Suite>::deserialize(&upload).unwrap();
        Self { setup, record: Some(ServerRegistration::finish(upload)) }
    }

    /// The client's result, and whether the server accepts what the client sent.
    fn login(&self, password: &[u8], tenant: TenantId) -> Result<bool, PasswordError> {
        let entropy = &mut Seeded(2);
        let (login, ke1) = Login::start(password, entropy)?;
        let request = CredentialRequest::deserialize(&ke1).unwrap();
        let context = context(TENANT);
        let params = ServerLoginParameters { context: Some(&context), ..Default::default() };
        let start = ServerLogin::start(
            &mut Rng(Seeded(7)),
            &self.setup,
            self.record.clone(),
            request,
            b"alice",
            params.clone(),
        )
        .unwrap();
        let (ke3, _) = login.finish(tenant, password, &start.message.serialize(), entropy)?;
        let ke3 = CredentialFinalization::deserialize(&ke3).unwrap();
        Ok(start.state.finish(ke3, params).is_ok())
    }
}

#[test]
fn only_the_right_password_logs_in() {
    let server = Server::with_password(b"correct horse");
    assert_eq!(server.login(b"correct horse", TENANT), Ok(true));
    assert_eq!(server.login(b"wrong horse", TENANT), Err(PasswordError::WrongPassword));
}

#[test]
fn b13_an_unknown_handle_looks_like_a_wrong_password() {
    let server = Server { record: None, ..Server::with_password(b"correct horse") };
    assert_eq!(server.login(b"correct horse", TENANT), Err(PasswordError::WrongPassword));
}

#[test]
fn a_login_is_bound_to_its_tenant() {
    let server = Server::with_password(b"correct horse");
    assert_ne!(server.login(b"correct horse", TenantId::from_bytes([4; 16])), Ok(true));
}

#[test]
fn any_answer_of_the_server_is_an_error_not_a_panic() {
    for answer in [vec![], vec![0; 64], vec![0xff; 320], vec![7; 1000]] {
        let (login, _) = Login::start(b"p", &mut Seeded(3)).unwrap();
        assert!(login.finish(TENANT, b"p", &answer, &mut Seeded(4)).is_err());
        let (registration, _) = Registration::start(b"p", &mut Seeded(3)).unwrap();
        assert!(registration.finish(b"p", &answer, &mut Seeded(4)).is_err());
    }
}
