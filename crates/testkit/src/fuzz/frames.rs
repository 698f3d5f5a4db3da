//! Frames in both directions, with the parameters, answers and events in them.

use minicbor::{Decode, Encode};
use std::fmt::Debug;
use wire::frame::{self, ServerFrame};
use wire::request::*;
use wire::{Event, Op, Operation, Refusal};

pub(super) mod request {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Ok(frame) = frame::read_request(bytes) else { return false };
        assert_ne!(frame.id, 0);
        frame.known().is_some_and(|op| returns_as(op, Half::Parameters, frame.body))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        samples().collect()
    }
}

pub(super) mod server_frame {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        match frame::read_server(bytes) {
            // The operation that it answers says what it is.
            Ok(ServerFrame::Answer { body, .. }) => returns::<Done>(body),
            Ok(ServerFrame::Refused { body, .. }) => refusal(body),
            Ok(ServerFrame::Event { kind, body }) => event(kind, body),
            Err(_) => false,
        }
    }

    fn refusal(body: &[u8]) -> bool {
        if let Ok(refusal) = wire::decode::<Refusal>(body) {
            assert!(!refusal.to_string().is_empty());
        }
        returns::<Refusal>(body)
    }

    fn event(kind: u16, body: &[u8]) -> bool {
        let Ok(Some(event)) = Event::decode(kind, body) else { return false };
        let again = frame::event(&event);
        let Ok(ServerFrame::Event { kind, body }) = frame::read_server(&again) else { panic!("no event: {event:?}") };
        assert_eq!(Event::decode(kind, body), Ok(Some(event)));
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let refused = pinned("refused ").map(|(_, frame)| frame);
        (1..=6).flat_map(|kind| pinned(&format!("event {kind} "))).map(|(_, frame)| frame).chain(refused).collect()
    }
}

/// The first two bytes are the number of the operation that is answered.
pub(super) mod answer {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some((number, body)) = bytes.split_first_chunk() else { return false };
        Op::from_number(u16::from_be_bytes(*number)).is_some_and(|op| returns_as(op, Half::Answer, body))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let numbered = |(name, frame): (String, Vec<u8>)| {
            let op = Op::ALL.iter().find(|op| op.as_str() == name)?;
            let Ok(ServerFrame::Answer { body, .. }) = frame::read_server(&frame) else { return None };
            Some([op.number().to_be_bytes().as_slice(), body].concat())
        };
        pinned(" < ").filter_map(numbered).collect()
    }
}

/// Which half of an operation.
pub(super) enum Half {
    Parameters,
    Answer,
}

macro_rules! every_operation {
    ($($name:ident)*) => {
        /// Holds that the body returns as this half of this operation; whether it is one.
        pub(super) fn returns_as(op: Op, half: Half, body: &[u8]) -> bool {
            match (op, half) {$(
                (Op::$name, Half::Parameters) => returns::<$name>(body),
                (Op::$name, Half::Answer) => returns::<<$name as Operation>::Answer>(body),
            )*}
        }
    };
}

every_operation! {
    Hello JoinStart JoinFinish Authenticate LoginStart LoginFinish PublishKeyPackages ClaimKeyPackages FindUser FetchChain
    CreateConversation Commit Send Fetch Acknowledge Sync FetchWelcomes AcceptWelcome FetchTree FetchGroupInfo Whisper
    Propose Succeed FetchRestored Resupply RenewGroupInfo FetchOwnChain OfferLink CollectLink FetchOffer AnswerLink RevokeDevice FetchChainChanges FetchJoinable
    FetchStay BeginBlob PutPart FinishBlob FetchPart DeleteBlob
    OpenArchiveDay FetchArchiveDays RewrapArchiveDays PutSegment FetchSegments ListSegments KeepOut
}

/// Holds that what decodes encodes to what decodes to the same.
pub(super) fn returns<T>(bytes: &[u8]) -> bool
where
    T: for<'b> Decode<'b, ()> + Encode<()> + PartialEq + Debug,
{
    let Ok(value) = wire::decode::<T>(bytes) else { return false };
    let encoded = wire::encode(&value);
    assert_eq!(wire::decode::<T>(&encoded).as_ref(), Ok(&value));
    assert!(wire::decode::<T>(&encoded[..encoded.len() - 1]).is_err(), "cut short, and taken");
    true
}

/// A request of every operation.
pub(super) fn samples() -> impl Iterator<Item = Vec<u8>> {
    pinned(" > ").map(|(_, frame)| frame)
}

/// The frames of `wire`'s pinned encodings, which hold a sample of everything, from lines that begin with a name and `mark`.
fn pinned(mark: &str) -> impl Iterator<Item = (String, Vec<u8>)> + use<> {
    const PINNED: &str = include_str!("../../../wire/tests/snapshots/pinned__every_operation_and_event_is_pinned.snap");
    let frame = |line: &str| {
        let (name, hex) = line.split_once(mark)?;
        let byte = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        Some((name.to_owned(), (0..hex.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?))
    };
    let frames: Vec<_> = PINNED.lines().filter_map(frame).collect();
    frames.into_iter()
}
