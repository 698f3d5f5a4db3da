//! Frames: one binary WebSocket message is one frame, `[number, number, body]` (`docs/decisions/0001-wire-encoding.md`).

use crate::{Event, Malformed, Op, Operation, Refusal, event};
use minicbor::{Decoder, Encoder};

/// A request's frame with its header read and its body still closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFrame<'b> {
    /// Chosen by the client; the answer carries it. Never 0.
    pub id: u32,
    /// The operation's number; [`Op::from_number`] says whether it is known.
    pub op: u16,
    /// The encoded parameters.
    pub body: &'b [u8],
}

/// A frame from the server with its header read and its body still closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerFrame<'b> {
    /// The answer to a request that succeeded.
    Answer {
        /// The request's id.
        id: u32,
        /// The encoded [`Operation::Answer`].
        body: &'b [u8],
    },
    /// The answer to a request that was refused.
    Refused {
        /// The request's id.
        id: u32,
        /// Why.
        body: &'b [u8],
    },
    /// Something that happened.
    Event {
        /// The kind's number.
        kind: u16,
        /// The encoded event.
        body: &'b [u8],
    },
}

/// Everything in a frame but long contents fits into so many bytes.
const ROOM: usize = 128;

/// Encodes a request.
pub fn request<O: Operation>(id: u32, operation: &O) -> Vec<u8> {
    frame(id, O::OP.number(), operation, 0)
}

/// Encodes the answer to a request that succeeded.
pub fn answer<A: minicbor::Encode<()>>(id: u32, answer: &A) -> Vec<u8> {
    frame(id, 0, answer, 0)
}

/// Encodes a refusal.
pub fn refused(id: u32, refusal: &Refusal) -> Vec<u8> {
    frame(id, refusal.number, refusal, 0)
}

/// Encodes an event.
pub fn event(event: &Event) -> Vec<u8> {
    match event {
        Event::Recorded(body) => frame(0, event::RECORDED, body, body.entry.payload.len()),
        Event::WelcomeWaiting(body) => frame(0, event::WELCOME_WAITING, body, 0),
        Event::ChainChanged(body) => frame(0, event::CHAIN_CHANGED, body, 0),
        Event::Whispered(body) => frame(0, event::WHISPERED, body, body.payload.len()),
        Event::Archived(body) => frame(0, event::ARCHIVED, body, 0),
        Event::Draining => frame(0, event::DRAINING, &event::Nothing {}, 0),
    }
}

/// `content` is how long the part of the body is that has no bound of its own, so that room is made once.
fn frame<T: minicbor::Encode<()>>(id: u32, number: u16, body: &T, content: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ROOM + content);
    let mut encoder = Encoder::new(&mut bytes);
    let encoded = encoder.array(3).and_then(|e| e.u32(id)).and_then(|e| e.u16(number)).and_then(|e| e.encode(body));
    debug_assert!(encoded.is_ok(), "encoding into memory cannot fail");
    bytes
}

/// Reads the header of a client's frame. The body is checked when the operation is decoded.
///
/// # Errors
/// [`Malformed`] when the header is not one, or the id is 0.
pub fn read_request(bytes: &[u8]) -> Result<RequestFrame<'_>, Malformed> {
    let (id, op, body) = header(bytes)?;
    if id == 0 { Err(Malformed) } else { Ok(RequestFrame { id, op, body }) }
}

/// Reads the header of a server's frame.
///
/// # Errors
/// [`Malformed`] when the header is not one.
pub fn read_server(bytes: &[u8]) -> Result<ServerFrame<'_>, Malformed> {
    Ok(match header(bytes)? {
        (0, kind, body) => ServerFrame::Event { kind, body },
        (id, 0, body) => ServerFrame::Answer { id, body },
        (id, _, body) => ServerFrame::Refused { id, body },
    })
}

fn header(bytes: &[u8]) -> Result<(u32, u16, &[u8]), Malformed> {
    let mut decoder = Decoder::new(bytes);
    if decoder.array().map_err(|_| Malformed)? != Some(3) {
        return Err(Malformed);
    }
    let id = decoder.u32().map_err(|_| Malformed)?;
    let number = decoder.u16().map_err(|_| Malformed)?;
    let body = bytes.get(decoder.position()..).ok_or(Malformed)?;
    Ok((id, number, body))
}

impl<'b> RequestFrame<'b> {
    /// The operation, if this version knows it.
    pub const fn known(&self) -> Option<Op> {
        Op::from_number(self.op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorCode, request::Hello};
    use proptest::prelude::*;

    #[test]
    fn a_request_returns() {
        let hello = Hello { version: 1, tenant: "acme".into(), agent: "test".into() };
        let bytes = request(7, &hello);
        let read = read_request(&bytes).unwrap();
        assert_eq!((read.id, read.known()), (7, Some(Op::Hello)));
        assert_eq!(crate::decode::<Hello>(read.body), Ok(hello));
    }

    #[test]
    fn a_refusal_returns() {
        let refusal = Refusal::retry_after(ErrorCode::RateLimited, 250);
        let bytes = refused(9, &refusal);
        let ServerFrame::Refused { id: 9, body } = read_server(&bytes).unwrap() else { panic!("{bytes:?}") };
        assert_eq!(crate::decode::<Refusal>(body), Ok(refusal));
    }

    #[test]
    fn truncated_frames_are_refused() {
        let bytes = request(7, &Hello { version: 1, tenant: "acme".into(), agent: "test".into() });
        for len in 0..bytes.len() {
            let whole = read_request(&bytes[..len]).is_ok_and(|frame| crate::decode::<Hello>(frame.body).is_ok());
            assert!(!whole, "{len} of {} bytes were enough", bytes.len());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes: Vec<u8>) {
            let _ = read_request(&bytes).map(|frame| crate::decode::<Hello>(frame.body));
            let _ = read_server(&bytes).map(|_| ());
        }
    }
}
