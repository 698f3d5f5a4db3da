//! What crosses a boundary: typed ids, requests, events, error codes, encodings. No cryptography, no IO.
//!
//! One encoding everywhere: CBOR with integer keys (`docs/decisions/0001-wire-encoding.md`). A frame's header parses on
//! its own ([`frame`]), its body is one of the operations in [`op`] or the events in [`event`].

pub mod entry;
pub mod error;
pub mod event;
pub mod frame;
pub mod id;
pub mod invite_link;
pub mod limits;
pub mod op;
mod parts;
pub mod request;
pub mod sabotage;
pub mod server_line;

pub use entry::{Entry, EntryKind};
pub use error::{ErrorCode, Fault, Refusal};
pub use event::Event;
pub use id::{BlobId, ConversationId, DeviceId, GroupId, InviteId, MessageId, TenantId, UserId};
pub use invite_link::InviteLink;
pub use op::{Op, Operation};
pub use parts::Parts;
pub use server_line::ServerLine;

/// Milliseconds since the Unix epoch, UTC, as a wall clock showed them. For people and for expiry, never for order.
pub type UnixMillis = u64;

/// Encodes a value that this crate defines. Writing into memory cannot fail, hence no `Result`.
pub fn encode<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    match minicbor::encode(value, &mut bytes) {
        Ok(()) => bytes,
        Err(never) => unreachable_encoding(&never),
    }
}

/// The encoder's error type is generic; with a `Vec` as its sink and no custom failures there is no way to make one.
fn unreachable_encoding<E: std::fmt::Display>(error: &E) -> Vec<u8> {
    debug_assert!(false, "encoding into memory failed: {error}");
    Vec::new()
}

/// Decodes exactly one value from exactly these bytes.
///
/// # Errors
/// [`Malformed`] when the bytes are not that value, or when anything follows it.
pub fn decode<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Malformed> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|_| Malformed)?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(Malformed) }
}

/// Bytes that are not what they should be. It says no more: the bytes came from outside and may hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed encoding")]
pub struct Malformed;
