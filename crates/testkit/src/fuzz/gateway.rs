//! Frames into the real server, with its database: from a stranger, and from a device that has proved its key. Every frame
//! is answered with what belongs to it, or ends the connection; the server never has to say that it failed.
//!
//! An input holds any number of frames, each after its length in two bytes; the last one may be longer than there is.

use super::frames::{Half, returns_as, samples};
use super::stage::{Counted, Party, aad, now};
use crate::server::{Server, TENANT};
use e2ee::Suite;
use keyring::RootKey;
use mifeng_server::admin;
use mifeng_server::gateway::embedded::Line;
use tempfile::TempDir;
use trust::LeafIdentity;
use vault::{AccountKey, DeviceKey, password};
use wire::frame::{self, ServerFrame};
use wire::request::*;
use wire::{ConversationId, DeviceId, ErrorCode, MessageId, Operation, TenantId, UserId, limits};

const USER: UserId = UserId::from_bytes([0xa0; 16]);
const DEVICE: DeviceId = DeviceId::from_bytes([0xd0; 16]);
const CONVERSATION: ConversationId = ConversationId::from_bytes([2; 16]);
const CODE: &str = "a-code-for-many-people";
const PASSWORD: &[u8] = b"a password that nobody guesses";

thread_local! {
    static GATE: Gate = Gate::open();
}

pub(super) mod stranger {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        GATE.with(|gate| gate.hears(gate.line(), bytes))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let (invite, handle, entropy) = (CODE.to_owned(), "bob".to_owned(), &mut Counted(1));
        let (_, registration_request) = password::Registration::start(PASSWORD, entropy).unwrap();
        let (_, ke1) = password::Login::start(PASSWORD, entropy).unwrap();
        let join = frame::request(2, &JoinStart { invite, handle: handle.clone(), registration_request });
        let login = |handle| frame::request(2, &LoginStart { handle, ke1: ke1.clone() });
        let finish = frame::request(3, &LoginFinish { ke3: vec![0; 64] });
        let mut inputs = vec![vec![hello()], vec![hello(), join]];
        inputs.extend([handle, "alice".into()].map(|handle| vec![hello(), login(handle), finish.clone()]));
        inputs.extend(samples().map(|sample| vec![hello(), sample]));
        inputs.into_iter().map(|frames| input(&frames)).collect()
    }
}

pub(super) mod device {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        GATE.with(|gate| gate.hears(gate.device_line(), bytes))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let conversation = CONVERSATION;
        let (epoch, message_id, payload) = (0, MessageId::from_bytes([2; 16]), GATE.with(|gate| gate.sealed.clone()));
        let requests = [
            frame::request(2, &Send { conversation, epoch, message_id, payload }),
            frame::request(2, &Whisper { conversation, epoch, payload: vec![1; 61] }),
            frame::request(2, &Fetch { conversation, after: 0, limit: 500 }),
            frame::request(2, &FetchTree { conversation, epoch, group: None }),
            frame::request(2, &FetchGroupInfo { conversation }),
            frame::request(2, &FetchStay { conversation }),
            frame::request(2, &Acknowledge { cursors: vec![Cursor { conversation, generation: 0, seq: 1 }] }),
            frame::request(2, &FindUser { handle: "alice".into() }),
            frame::request(2, &FetchChain { user: USER, skip: 0 }),
        ];
        let sync = frame::request(1, &Sync {});
        requests.into_iter().chain(samples()).map(|request| input(&[sync.clone(), request])).collect()
    }
}

fn hello() -> Vec<u8> {
    frame::request(1, &Hello { version: 1, tenant: TENANT.into(), agent: "fuzz".into() })
}

fn input(frames: &[Vec<u8>]) -> Vec<u8> {
    let with_length = |frame: &Vec<u8>| [&u16::try_from(frame.len()).unwrap().to_be_bytes(), frame.as_slice()].concat();
    frames.iter().flat_map(with_length).collect()
}

/// The frames of an input.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first_chunk()?;
        let (frame, rest) = rest.split_at(usize::from(u16::from_be_bytes(*len)).min(rest.len()));
        bytes = rest;
        Some(frame)
    })
}

/// A server with one person, whose device is alone in a conversation.
struct Gate {
    server: Server,
    key: DeviceKey,
    tenant: TenantId,
    /// A message for the conversation.
    sealed: Vec<u8>,
    // Dropped last: the server's files are in it.
    _folder: TempDir,
}

impl Gate {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("server"), RootKey::ephemeral().unwrap(), now()).unwrap();
        let tenant = server.found_tenant(admin::Suite::Classical, 100, CODE).unwrap();
        let key = DeviceKey::generate(&mut Counted(b'g'));
        let mut gate = Self { server, key, tenant, sealed: Vec::new(), _folder: folder };
        gate.join();
        gate.sealed = gate.create_conversation();
        gate
    }

    fn join(&self) {
        let (entropy, mut line) = (&mut Counted(b'j'), self.line());
        let _: Greeting = self.ask_encoded(&mut line, hello());
        let (registration, registration_request) = password::Registration::start(PASSWORD, entropy).unwrap();
        let (invite, handle) = (CODE.to_owned(), "alice".to_owned());
        let start = JoinStart { invite: invite.clone(), handle: handle.clone(), registration_request };
        let response = self.ask(&mut line, &start).registration_response;
        let (registration_upload, _) = registration.finish(PASSWORD, &response, entropy).unwrap();
        let chain_entry = AccountKey::generate(entropy).open_chain(self.tenant, USER, DEVICE, &self.key);
        self.ask(&mut line, &JoinFinish { invite, handle, registration_upload, chain_entry });
        self.server.close(line);
    }

    fn create_conversation(&self) -> Vec<u8> {
        let key = DeviceKey::from_sealed_storage(&self.key.to_sealed_storage());
        let party = Party::of(LeafIdentity { tenant: self.tenant, user: USER, device: DEVICE }, key);
        let created = party.keep(party.create(Suite::Classical));
        let mut line = self.device_line();
        let (group_info, tree) = (created.group_info, created.tree);
        self.ask(&mut line, &CreateConversation { conversation: CONVERSATION, group_info, tree });
        self.server.close(line);
        party.group().seal(&party.device(), &aad(2), b"words").unwrap().output
    }

    fn line(&self) -> Line {
        self.server.connect().unwrap()
    }

    fn device_line(&self) -> Line {
        let mut line = self.line();
        let Greeting { challenge, .. } = self.ask_encoded(&mut line, hello());
        let signature = self.key.sign_login(&challenge, self.tenant, DEVICE);
        self.ask(&mut line, &Authenticate { device: DEVICE, signature });
        line
    }

    fn ask<O: Operation>(&self, line: &mut Line, operation: &O) -> O::Answer {
        self.ask_encoded(line, frame::request(1, operation))
    }

    fn ask_encoded<A: for<'b> minicbor::Decode<'b, ()>>(&self, line: &mut Line, request: Vec<u8>) -> A {
        self.server.frame(line, request).unwrap();
        let mut waiting = Vec::new();
        assert_eq!(Server::take(line, &mut waiting), None);
        let Ok(ServerFrame::Answer { body, .. }) = frame::read_server(&waiting[0]) else {
            panic!("{:02x?}", waiting[0])
        };
        wire::decode(body).unwrap()
    }

    /// Hands every frame of an input in; whether one was answered.
    fn hears(&self, mut line: Line, bytes: &[u8]) -> bool {
        let mut answered = false;
        for request in frames(bytes).take(limits::REQUESTS_IN_FLIGHT_MAX) {
            let outcome = self.server.frame(&mut line, request.to_vec());
            let mut waiting = Vec::new();
            let closed = Server::take(&line, &mut waiting);
            let answers = waiting.iter().filter(|waiting| is_answer(request, waiting)).count();
            assert!(answers == 1 || outcome.is_err(), "{answers} answers to {request:02x?}: {waiting:02x?}");
            answered |= waiting.iter().any(|frame| matches!(frame::read_server(frame), Ok(ServerFrame::Answer { .. })));
            if outcome.is_err() || closed.is_some() {
                break;
            }
        }
        self.server.close(line);
        answered
    }
}

/// Whether it is the answer to this request, and one that the server may give.
fn is_answer(request: &[u8], waiting: &[u8]) -> bool {
    let request = frame::read_request(request).unwrap();
    match frame::read_server(waiting).unwrap() {
        ServerFrame::Answer { id, body } => {
            let op = request.known().unwrap();
            assert!(returns_as(op, Half::Answer, body), "no answer to {op:?}: {body:02x?}");
            id == request.id
        }
        ServerFrame::Refused { id, body } => {
            let refusal: wire::Refusal = wire::decode(body).unwrap();
            let failed = [ErrorCode::Internal, ErrorCode::StorageUnavailable, ErrorCode::Overloaded];
            assert!(refusal.code().is_some_and(|code| !failed.contains(&code)), "{refusal:?} to {request:?}");
            id == request.id
        }
        ServerFrame::Event { .. } => false,
    }
}
