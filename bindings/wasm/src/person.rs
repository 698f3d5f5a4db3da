//! Who is in a conversation, a person's keys, and this person's own devices and settings, as JavaScript takes them.

use crate::standing::Trust;
use crate::view::{Reader, number};
use client::{DeviceState, DeviceView, MemberView};
use serde::Serialize;
use tsify::Tsify;
use wire::UserId;

/// A member of a conversation.
#[derive(Debug, Serialize, Tsify)]
pub struct Member {
    /// Who.
    pub user: String,
    /// The handle.
    pub handle: String,
    /// May add, remove and promote others.
    pub admin: bool,
    /// How many devices read along.
    pub devices: u32,
}

/// The members of a conversation.
#[derive(Debug, Serialize, Tsify)]
pub struct Members(pub Vec<Member>);

/// A person's keys, to be compared.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Who.
    pub user: String,
    /// The handle.
    pub handle: String,
    /// The same on both sides.
    pub safety_number: String,
    /// Whether it was compared.
    pub verification: Trust,
    /// Why the server's last word about the person was refused, if it was.
    pub refused: Option<String>,
}

/// A device of this person.
#[derive(Debug, Serialize, Tsify)]
pub struct Device {
    /// Its id.
    pub id: String,
    /// What it is called, if this device knows.
    pub name: Option<String>,
    /// It speaks for the person; if not, it was revoked.
    pub active: bool,
    /// It is this one.
    pub this: bool,
    /// When it joined or was linked, in milliseconds, if this device knows.
    pub since: Option<f64>,
}

/// This person's devices, the active ones first.
#[derive(Debug, Serialize, Tsify)]
pub struct Devices(pub Vec<Device>);

/// What the person wants of this device.
#[derive(Debug, Serialize, Tsify)]
pub struct Settings {
    /// Tell others that this person is writing, and show who else is.
    pub typing: bool,
    /// Tell others how far this person has read.
    pub receipts: bool,
}

impl Reader<'_> {
    pub(crate) fn contact(&self, user: UserId) -> Result<Option<Contact>, client::Error> {
        Ok(self.client.contact_of(user)?.map(|contact| Contact {
            user: contact.user.to_string(),
            handle: contact.handle,
            safety_number: contact.safety_number,
            verification: Trust::from(contact.verification),
            refused: contact.refused,
        }))
    }
}

impl From<MemberView> for Member {
    fn from(view: MemberView) -> Self {
        let devices = u32::try_from(view.devices.len()).unwrap_or(u32::MAX);
        Self { user: view.user.to_string(), handle: view.handle, admin: view.admin, devices }
    }
}

impl From<DeviceView> for Device {
    fn from(view: DeviceView) -> Self {
        let DeviceView { id, name, state, this, since } = view;
        Self { id: id.to_string(), name, active: state == DeviceState::Active, this, since: since.map(number) }
    }
}

impl From<client::Settings> for Settings {
    fn from(client::Settings { typing, receipts }: client::Settings) -> Self {
        Self { typing, receipts }
    }
}
