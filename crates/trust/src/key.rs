//! Public keys, each kind its own type, and what is signed with them.
//!
//! Every signature has a label that says what it is for; no signature verifies under another label, nor as an MLS
//! signature, whose input begins with a length and `MLS 1.0 ` (RFC 9420 §5.1.2).

use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use std::fmt;
use wire::sabotage::{Defence, stands};

/// What a signature is for. The texts are part of what is signed and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// An entry of a device chain, by the account key.
    ChainEntry,
    /// An entry of a device chain, by the device key that it introduces.
    DevicePossession,
    /// The closing entry of a device chain, by the tenant authority.
    ChainClosing,
    /// The server's login challenge, by a device key.
    DeviceLogin,
}

impl Label {
    /// Every label.
    pub const ALL: &'static [Self] = &[Self::ChainEntry, Self::DevicePossession, Self::ChainClosing, Self::DeviceLogin];

    /// The text that is signed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChainEntry => "mifeng/v1 chain entry",
            Self::DevicePossession => "mifeng/v1 device possession",
            Self::ChainClosing => "mifeng/v1 chain closing",
            Self::DeviceLogin => "mifeng/v1 device login",
        }
    }
}

/// The bytes that are signed for `content` under `label`: one byte length of the label, the label, the content.
pub fn signature_input(label: Label, content: &[u8]) -> Vec<u8> {
    let label = if stands(Defence::SignatureLabel) { label.as_str() } else { "any" }.as_bytes();
    let mut input = Vec::with_capacity(1 + label.len() + content.len());
    // Labels are constants of ours, all shorter than 256 bytes.
    input.push(label.len() as u8);
    input.extend_from_slice(label);
    input.extend_from_slice(content);
    input
}

/// The signature is not this key's over this content under this label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid signature")]
pub struct InvalidSignature;

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The key with these bytes (RFC 8032). Whether they are a usable point shows when a signature is checked.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The key's 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Checks a signature over `content` under `label`, strictly: no low-order keys, no malleable signatures.
            ///
            /// # Errors
            /// [`InvalidSignature`], without saying what was wrong.
            pub fn verify(&self, label: Label, content: &[u8], signature: &[u8; 64]) -> Result<(), InvalidSignature> {
                let key = VerifyingKey::from_bytes(&self.0).map_err(|_| InvalidSignature)?;
                let (input, signature) = (signature_input(label, content), Signature::from_bytes(signature));
                let verified = if stands(Defence::StrictSignature) {
                    key.verify_strict(&input, &signature)
                } else {
                    key.verify(&input, &signature)
                };
                verified.map_err(|_| InvalidSignature)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("…)")
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                d.bytes()?.try_into().map(Self).map_err(|_| decode::Error::message("a public key has 32 bytes"))
            }
        }
    };
}

public_key!(
    /// A user's account identity key: signs the device chain, is what contacts pin.
    AccountPublicKey
);
public_key!(
    /// A device's key: signs its MLS leaves and its logins.
    DevicePublicKey
);
public_key!(
    /// A tenant's authority: can close the chain of a leaver, and nothing else.
    AuthorityPublicKey
);
