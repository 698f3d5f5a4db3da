//! Typed ids: 16 random bytes each, made by whoever makes the thing. They carry no time and no order.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use std::{fmt, str::FromStr};

use crate::Malformed;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Size in bytes.
            pub const LEN: usize = 16;

            /// The id with these bytes; they should be random.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The id's 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = Malformed;
            fn try_from(bytes: &[u8]) -> Result<Self, Malformed> {
                bytes.try_into().map(Self).map_err(|_| Malformed)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                text.strip_prefix(concat!($prefix, "_")).and_then(from_hex).map(Self).ok_or(Malformed)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                d.bytes()?.try_into().map(Self).map_err(|_| decode::Error::message("an id has 16 bytes"))
            }
        }
    };
}

id!(
    /// A customer: a company or an app.
    TenantId, "ten"
);
id!(
    /// A person within a tenant.
    UserId, "usr"
);
id!(
    /// One device of a person; one MLS leaf per conversation.
    DeviceId, "dev"
);
id!(
    /// A conversation: a log, served by a chain of MLS groups.
    ConversationId, "cnv"
);
id!(
    /// One MLS group in a conversation's chain.
    GroupId, "grp"
);
id!(
    /// One message or commit; also the idempotency key of the request that records it.
    MessageId, "msg"
);
id!(
    /// A file that the server keeps, sealed by the device that sent it.
    BlobId, "blb"
);
id!(
    /// An invitation, as the operator sees it. The code that redeems it is a secret and something else.
    InviteId, "inv"
);

/// Reads exactly `N` bytes of lower-case hexadecimal.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_returns() {
        let id = UserId::from_bytes(*b"\x00\x01\x02\x03\xfc\xfd\xfe\xff\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
        assert_eq!(id.to_string(), "usr_00010203fcfdfeff08090a0b0c0d0e0f");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn text_of_another_kind_or_shape_is_refused() {
        for text in [
            "",
            "usr_",
            "dev_00010203fcfdfeff08090a0b0c0d0e0f",
            "usr_00010203FCFDFEFF08090a0b0c0d0e0f",
            "usr_é0010203fcfdfeff08090a0b0c0d0e0",
        ] {
            assert_eq!(text.parse::<UserId>(), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn every_wrong_length_is_refused() {
        for len in (0..40).filter(|len| *len != 16) {
            let mut bytes = Vec::new();
            minicbor::Encoder::new(&mut bytes).bytes(&vec![7; len]).unwrap();
            assert_eq!(crate::decode::<UserId>(&bytes), Err(Malformed), "{len}");
        }
    }
}
