//! What a message says about a file that travels elsewhere, sealed: what it is called, where it is, and what opens it.

use minicbor::{Decode, Encode};
use std::fmt;
use vault::FileKey;
use wire::{BlobId, Parts, limits};

/// Bytes of a preview's picture.
pub(super) const THUMBNAIL_MAX_BYTES: usize = 24 << 10;
/// Levels of a voice message's waveform.
pub(super) const WAVEFORM_MAX: usize = 128;
/// Bytes of a name, as file systems have it.
const NAME_MAX_BYTES: usize = 200;
/// Bytes of a media type.
const MEDIA_TYPE_MAX_BYTES: usize = 100;

/// A file, as the message that carries it describes it. Nothing of this is visible to the server but the blob's id.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Attachment {
    /// Its name, as the sender says; see [`Attachment::file_name`].
    #[n(0)]
    pub name: String,
    /// Its size in bytes, before it was padded and sealed.
    #[n(1)]
    pub size: u64,
    /// Its media type, as the sender says.
    #[n(2)]
    pub media_type: Option<String>,
    /// Where it is.
    #[n(3)]
    pub blob: BlobId,
    /// Opens it.
    #[cbor(n(4), with = "minicbor::bytes")]
    key: [u8; 32],
    /// Of what the server has: see [`vault::file_digest`].
    #[cbor(n(5), with = "minicbor::bytes")]
    pub digest: [u8; 32],
    /// How it looks, if it is a picture.
    #[n(6)]
    pub preview: Option<Preview>,
    /// How it sounds, if it was spoken.
    #[n(7)]
    pub voice: Option<Voice>,
}

/// What is said about a file beside what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileDetails {
    /// What it is called.
    pub name: String,
    /// Its media type.
    pub media_type: Option<String>,
    /// How it looks, if it is a picture.
    pub preview: Option<Preview>,
    /// How it sounds, if it was spoken.
    pub voice: Option<Voice>,
}

/// How a picture looks before it is there.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Preview {
    /// Pixels from left to right.
    #[n(0)]
    pub width: u32,
    /// Pixels from top to bottom.
    #[n(1)]
    pub height: u32,
    /// A small picture: JPEG, PNG or WebP.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub thumbnail: Vec<u8>,
}

/// How a voice message sounds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Voice {
    /// How long it is.
    #[n(0)]
    pub duration_ms: u32,
    /// How loud it is, from beginning to end in equal steps, each 0 to 255.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub waveform: Vec<u8>,
}

impl Attachment {
    /// A file of this size that is sealed under this key.
    pub fn new(details: FileDetails, size: u64, blob: BlobId, key: &FileKey, digest: [u8; 32]) -> Self {
        let FileDetails { name, media_type, preview, voice } = details;
        Self { name, size, media_type, blob, key: *key.expose(), digest, preview, voice }
    }

    /// What opens it.
    pub fn key(&self) -> FileKey {
        FileKey::from_bytes(self.key)
    }

    /// A name to store it under: the sender's without folders, control characters and what turns text around, and never one
    /// that a system gives a meaning of its own.
    pub fn file_name(&self) -> String {
        let last = self.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let mut name: String = last.chars().filter(|character| !is_unfit(*character)).collect();
        while name.len() > NAME_MAX_BYTES {
            name.pop();
        }
        let name = name.trim_matches(|character: char| character == '.' || character.is_whitespace());
        if name.is_empty() { "file".into() } else { name.into() }
    }

    /// The media type by which it may be shown as a picture; `None` for what is none, or may hold a program.
    pub fn picture_type(&self) -> Option<&str> {
        let known = ["image/jpeg", "image/png", "image/webp", "image/gif"];
        self.media_type.as_deref().filter(|media_type| known.contains(media_type))
    }

    /// The media type by which it may be played as a sound; `None` for what is none.
    pub fn sound_type(&self) -> Option<&str> {
        let known = ["audio/webm", "audio/ogg", "audio/mp4", "audio/mpeg", "audio/wav"];
        self.media_type.as_deref().filter(|media_type| known.contains(media_type))
    }

    /// Whether it is within what every client takes.
    pub(super) fn is_sound(&self) -> bool {
        let preview = self.preview.as_ref().is_none_or(|preview| preview.thumbnail.len() <= THUMBNAIL_MAX_BYTES);
        let voice = self.voice.as_ref().is_none_or(|voice| voice.waveform.len() <= WAVEFORM_MAX);
        let media_type = self.media_type.as_ref().is_none_or(|media_type| media_type.len() <= MEDIA_TYPE_MAX_BYTES);
        self.size <= limits::FILE_MAX_BYTES && self.name.len() <= 4 * NAME_MAX_BYTES && preview && voice && media_type
    }

    /// How its blob lies in parts.
    pub(crate) fn parts(&self) -> Parts {
        vault::sealed_parts(self.size)
    }

    #[cfg(test)]
    pub(super) fn sample() -> Self {
        let preview = Preview { width: 4_000, height: 3_000, thumbnail: vec![0xff, 0xd8, 0xff] };
        let voice = Voice { duration_ms: 2_500, waveform: vec![0, 128, 255] };
        let (name, media_type) = ("plan.pdf".into(), Some("application/pdf".into()));
        let details = FileDetails { name, media_type, preview: Some(preview), voice: Some(voice) };
        Self::new(details, 70_000, BlobId::from_bytes([8; 16]), &FileKey::from_bytes([9; 32]), [7; 32])
    }
}

impl Preview {
    /// The thumbnail's media type by its first bytes; `None` for anything else than the three kinds, which is not shown.
    pub fn media_type(&self) -> Option<&'static str> {
        match self.thumbnail.as_slice() {
            [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
            _ => None,
        }
    }
}

fn is_unfit(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns || "<>:\"|?*".contains(character)
}

impl fmt::Debug for Attachment {
    /// What it is, not what opens it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, size, media_type, blob, .. } = self;
        let mut shown = f.debug_struct("Attachment");
        shown.field("name", name).field("size", size).field("media_type", media_type).field("blob", blob);
        shown.finish_non_exhaustive()
    }
}

impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, thumbnail } = self;
        write!(f, "Preview({width}×{height}, {} bytes)", thumbnail.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_debug_shows_no_key_of_a_file() {
        let shown = format!("{:?}", Attachment::sample());
        assert!(shown.contains("plan.pdf") && !shown.contains("9, 9"), "{shown}");
    }

    #[test]
    fn c4_a_name_leads_nowhere_else() {
        let named = |name: &str| Attachment { name: name.into(), ..Attachment::sample() }.file_name();
        for (name, kept) in [
            ("plan.pdf", "plan.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\system.ini", "system.ini"),
            ("..", "file"),
            ("", "file"),
            ("a/", "file"),
            (".bashrc", "bashrc"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\0b\nc\u{1b}[31m", "abc[31m"),
            ("con:aux|?", "conaux"),
            ("季度报告.docx", "季度报告.docx"),
        ] {
            assert_eq!(named(name), kept, "{name:?}");
        }
        let long = named(&"名".repeat(500));
        assert!(long.len() <= NAME_MAX_BYTES && long.chars().all(|character| character == '名'));
    }

    #[test]
    fn c3_only_plain_pictures_are_shown_as_pictures() {
        let of_type = |media_type: &str| Attachment { media_type: Some(media_type.into()), ..Attachment::sample() };
        assert_eq!(of_type("image/png").picture_type(), Some("image/png"));
        for other in ["image/svg+xml", "text/html", "application/xhtml+xml", "image/PNG", "image/png; a=b"] {
            assert_eq!(of_type(other).picture_type(), None, "{other}");
        }
        assert_eq!(of_type("audio/webm").sound_type(), Some("audio/webm"));
        assert_eq!(of_type("audio/webm;codecs=opus").sound_type(), None);
        assert_eq!(of_type("text/html").sound_type(), None);
        let thumbnail = |bytes: &[u8]| Preview { width: 1, height: 1, thumbnail: bytes.to_vec() };
        assert_eq!(thumbnail(b"RIFF....WEBPVP8 ").media_type(), Some("image/webp"));
        assert_eq!(thumbnail(b"<svg xmlns=").media_type(), None);
        assert_eq!(thumbnail(b"").media_type(), None);
    }
}
