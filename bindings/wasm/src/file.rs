//! Files: what a person sends is given part by part, what has come is taken part by part.

use crate::error::{malformed, thrown};
use crate::profile::{Profile, Result, conversation_id, message_id, shown};
use crate::view::number;
use client::content::{self, Attachment};
use client::{FILE_PART_BYTES, FileState, FileView};
use js_sys::Uint8Array;
use runtime::now;
use serde::{Deserialize, Serialize};
use tsify::{Ts, Tsify};
use wasm_bindgen::prelude::*;
use wire::BlobId;

/// A file that a message carries.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// A name to store it under, which leads nowhere else.
    pub name: String,
    /// Bytes.
    pub size: f64,
    /// The media type by which it may be shown or played; absent for everything that is no plain picture or sound.
    pub media_type: Option<String>,
    /// How it looks, if it is a picture that may be shown.
    pub preview: Option<Preview>,
    /// How it sounds, if it was spoken and may be played.
    pub voice: Option<Voice>,
}

/// How a picture looks before it is there. The sender says so.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// The media type of the thumbnail, if there is one.
    pub thumbnail_type: Option<String>,
}

/// How a voice message sounds. The sender says so.
#[derive(Debug, Serialize, Deserialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Voice {
    /// How long it is, in milliseconds.
    pub duration_ms: u32,
    /// How loud it is, from beginning to end in equal steps, each 0 to 255; 128 of them at most.
    pub waveform: Vec<u8>,
}

/// A picture's preview, to be sent.
#[derive(Debug, Deserialize, Tsify)]
pub struct Look {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// A small picture: JPEG, PNG or WebP; 24 KiB at most.
    #[tsify(type = "Uint8Array")]
    pub thumbnail: Vec<u8>,
}

/// What is said about a file that is sent.
#[derive(Debug, Deserialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct FileDetails {
    /// What it is called.
    pub name: String,
    /// Its media type.
    #[tsify(optional)]
    pub media_type: Option<String>,
    /// How it looks, if it is a picture.
    #[tsify(optional)]
    pub preview: Option<Look>,
    /// How it sounds, if it was spoken.
    #[tsify(optional)]
    pub voice: Option<Voice>,
}

/// A file that is being prepared.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct BegunFile {
    /// Its id.
    pub blob: String,
    /// Bytes of each of its parts but the last.
    pub part_bytes: u32,
}

/// How far a file is.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct FileProgress {
    /// Where it is.
    pub state: FileStanding,
    /// It waits until the person wants it to go on.
    pub paused: bool,
    /// Parts that have arrived at where it goes.
    pub parts: u32,
    /// Parts that it has.
    pub of_parts: u32,
    /// Why it did not arrive, for people, in English.
    pub reason: Option<String>,
}

/// Where a file is.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "snake_case")]
pub enum FileStanding {
    /// With the server, as far as this device knows.
    Away,
    /// On its way to the server; its message follows it.
    Sending,
    /// On its way to this device.
    Fetching,
    /// On this device, whole.
    Here,
    /// It did not arrive.
    Failed,
}

#[wasm_bindgen]
impl Profile {
    /// Begins to prepare a file of this many bytes. It is lost with the worker, until `sendFile`.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = beginFile)]
    pub fn begin_file(&self, size: f64) -> Result<Ts<BegunFile>> {
        let size = whole(size).ok_or_else(|| malformed("a size"))?;
        let blob = self.call(|client| client.begin_file(size, now()))?;
        let part_bytes = u32::try_from(FILE_PART_BYTES).map_err(|error| thrown("failed", &error))?;
        shown(BegunFile { blob: blob.to_string(), part_bytes })
    }

    /// Seals the next part: `partBytes` of the file, or what is left of it. Durable when this returns.
    ///
    /// # Errors
    /// `full` when there is no room for it; `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = addToFile)]
    pub fn add_to_file(&self, blob: &str, bytes: &[u8]) -> Result<()> {
        let blob = blob_id(blob)?;
        self.call(|client| client.add_to_file(blob, bytes, now()))
    }

    /// Sends a file all of whose parts were added: its message is shown from now on, and follows the file. Durable when this
    /// returns; told of it: `file`.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = sendFile)]
    pub fn send_file(
        &self,
        conversation: &str,
        blob: &str,
        details: Ts<FileDetails>,
        reply_to: Option<String>,
    ) -> Result<String> {
        let (id, blob) = (conversation_id(conversation)?, blob_id(blob)?);
        let details = details.to_rust().map_err(|_| malformed("what is said about a file"))?;
        let reply_to = reply_to.map(|target| message_id(&target)).transpose()?;
        let message = self.call(|client| client.send_file(id, blob, details.into(), reply_to, now()))?;
        Ok(message.to_string())
    }

    /// Gives up a file that was not sent.
    ///
    /// # Errors
    /// `malformed`, `failed`.
    #[wasm_bindgen(js_name = discardFile)]
    pub fn discard_file(&self, blob: &str) -> Result<()> {
        let blob = blob_id(blob)?;
        self.call(|client| client.discard_file(blob, now()))
    }

    /// Fetches the file of a message, or has one that is paused or has failed go on, in either direction.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = fetchFile)]
    pub fn fetch_file(&self, conversation: &str, message: &str) -> Result<()> {
        let (id, message) = (conversation_id(conversation)?, message_id(message)?);
        self.call(|client| client.fetch_file(id, message, now()))
    }

    /// Has a file wait on its way, until `fetchFile`.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = pauseFile)]
    pub fn pause_file(&self, conversation: &str, message: &str) -> Result<()> {
        let (id, message) = (conversation_id(conversation)?, message_id(message)?);
        self.call(|client| client.pause_file(id, message, now()))
    }

    /// How far the file of a message is; nothing when the message has none.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = fileProgress)]
    pub fn file_progress(&self, conversation: &str, message: &str) -> Result<Option<Ts<FileProgress>>> {
        let (id, message) = (conversation_id(conversation)?, message_id(message)?);
        self.read(|reader| reader.client.file(id, message))?.map(|view| shown(FileProgress::from(view))).transpose()
    }

    /// A part of a file that is on this device; nothing after its end.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = filePart)]
    pub fn file_part(&self, conversation: &str, message: &str, index: u32) -> Result<Uint8Array> {
        let (id, message) = (conversation_id(conversation)?, message_id(message)?);
        let part = self.read(|reader| reader.client.file_part(id, message, index))?;
        Ok(Uint8Array::from(part.as_slice()))
    }

    /// The small picture of a message's preview, if it has one.
    ///
    /// # Errors
    /// `malformed`, `failed`.
    pub fn thumbnail(&self, conversation: &str, message: &str) -> Result<Option<Uint8Array>> {
        let (id, message) = (conversation_id(conversation)?, message_id(message)?);
        let line = self.read(|reader| reader.client.message(id, message))?;
        let Some(content::Body::File(file)) = line.and_then(|line| line.body) else { return Ok(None) };
        Ok(file.preview.map(|preview| Uint8Array::from(preview.thumbnail.as_slice())))
    }
}

fn blob_id(text: &str) -> Result<BlobId> {
    text.parse().map_err(|_| malformed("a file's id"))
}

/// A number of JavaScript's that counts something.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what does not fit is refused before")]
fn whole(count: f64) -> Option<u64> {
    const SAFE_INTEGER_MAX: f64 = 9_007_199_254_740_991.0;
    (count.fract() == 0.0 && (0.0..=SAFE_INTEGER_MAX).contains(&count)).then_some(count as u64)
}

impl From<&Attachment> for Attached {
    fn from(file: &Attachment) -> Self {
        let preview = file.preview.as_ref().filter(|_| file.picture_type().is_some());
        let voice = file.voice.as_ref().filter(|_| file.sound_type().is_some());
        Self {
            name: file.file_name(),
            size: number(file.size),
            media_type: file.picture_type().or(file.sound_type()).map(String::from),
            preview: preview.map(|preview| Preview {
                width: preview.width,
                height: preview.height,
                thumbnail_type: preview.media_type().map(String::from),
            }),
            voice: voice.map(|voice| Voice { duration_ms: voice.duration_ms, waveform: voice.waveform.clone() }),
        }
    }
}

impl From<FileDetails> for content::FileDetails {
    fn from(FileDetails { name, media_type, preview, voice }: FileDetails) -> Self {
        let preview = preview.map(|Look { width, height, thumbnail }| content::Preview { width, height, thumbnail });
        let voice = voice.map(|Voice { duration_ms, waveform }| content::Voice { duration_ms, waveform });
        Self { name, media_type, preview, voice }
    }
}

impl From<FileView> for FileProgress {
    fn from(FileView { state, paused, parts, of_parts, reason }: FileView) -> Self {
        let state = match state {
            None | Some(FileState::Draft) => FileStanding::Away,
            Some(FileState::Sending) => FileStanding::Sending,
            Some(FileState::Fetching) => FileStanding::Fetching,
            Some(FileState::Here) => FileStanding::Here,
            Some(FileState::Failed) => FileStanding::Failed,
        };
        Self { state, paused, parts, of_parts, reason }
    }
}
