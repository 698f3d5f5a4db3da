//! What a person sets: of a conversation, of this device, and which devices there are.

use crate::error::malformed;
use crate::person::{Devices, Settings};
use crate::profile::{Profile, Result, conversation_id, shown, user_id};
use runtime::now;
use tsify::Ts;
use wasm_bindgen::prelude::*;
use wire::DeviceId;

#[wasm_bindgen]
impl Profile {
    /// Names a group.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    pub fn rename(&self, conversation: &str, name: &str) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.rename(id, name, now())).map(drop)
    }

    /// Says what a conversation is about; nothing, if it is empty.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = setTopic)]
    pub fn set_topic(&self, conversation: &str, topic: &str) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.set_topic(id, topic, now())).map(drop)
    }

    /// New messages disappear so many seconds after they were read; 0: they stay.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = setTimer)]
    pub fn set_timer(&self, conversation: &str, seconds: u32) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.set_timer(id, seconds, now())).map(drop)
    }

    /// Keeps a conversation above those that are not pinned, or no longer.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = setPinned)]
    pub fn set_pinned(&self, conversation: &str, pinned: bool) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.set_pinned(id, pinned, now()))
    }

    /// Has a conversation ask for attention only where it names the person, or always again.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = setMuted)]
    pub fn set_muted(&self, conversation: &str, muted: bool) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.set_muted(id, muted, now()))
    }

    /// Keeps a conversation out of the person's archive and has what is there of it destroyed, or lets it in again.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = keepOutOfArchive)]
    pub fn keep_out_of_archive(&self, conversation: &str, out: bool) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.keep_out_of_archive(id, out, now()))
    }

    /// Fetches what the archive has from before what is here of a conversation. Told: `changed`.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = fetchHistory)]
    pub fn fetch_history(&self, conversation: &str) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.fetch_history(id, now()))
    }

    /// Keeps what was begun to be written; nothing, if it is empty. Durable when this returns; no event tells of it.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = setDraft)]
    pub fn set_draft(&self, conversation: &str, draft: &str) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.set_draft(id, draft, now()))
    }

    /// Makes a member of a group an admin, or no longer.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = setAdmin)]
    pub fn set_admin(&self, conversation: &str, user: &str, admin: bool) -> Result<()> {
        let (id, user) = (conversation_id(conversation)?, user_id(user)?);
        self.call(|client| client.set_admin(id, user, admin, now())).map(drop)
    }

    /// The person's devices; those that were revoked too.
    ///
    /// # Errors
    /// `refused` before the device has joined, `failed`.
    pub fn devices(&self) -> Result<Ts<Devices>> {
        let views = self.read(|reader| reader.client.devices())?;
        shown(Devices(views.into_iter().map(Into::into).collect()))
    }

    /// Revokes another device of the person. Told: `devices`, or a `notice`.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = revokeDevice)]
    pub fn revoke_device(&self, device: &str) -> Result<()> {
        let id: DeviceId = device.parse().map_err(|_| malformed("a device's id"))?;
        self.call(|client| client.revoke_device(id, now()))
    }

    /// What the person wants of this device.
    ///
    /// # Errors
    /// `failed`.
    pub fn settings(&self) -> Result<Ts<Settings>> {
        shown(Settings::from(self.read(|reader| reader.client.settings())?))
    }

    /// Changes what the person wants of this device.
    ///
    /// # Errors
    /// `failed`.
    #[wasm_bindgen(js_name = setSettings)]
    pub fn set_settings(&self, typing: bool, receipts: bool) -> Result<()> {
        self.call(|client| client.set_settings(client::Settings { typing, receipts }, now()))
    }
}
