//! One person's device in this browser: what JavaScript calls.

use crate::error::{from_client, malformed, thrown};
use crate::event::Event;
use crate::person::{Contact, Member, Members};
use crate::view::{Conversations, Findings, Invitation, Reader, Status, Window};
use client::content::{Body, Content, Reaction};
use client::{Client, DatabaseKey};
use js_sys::Function;
use runtime::web::{Shell, StorageError, open_database};
use runtime::{OsEntropy, now};
use std::str::FromStr;
use tsify::{Ts, Tsify};
use wasm_bindgen::prelude::*;
use wire::{ConversationId, InviteLink, MessageId, UserId};

/// So many lines are read at once at most, in either direction, and as many are found.
const LINES_MAX: u32 = 500;

pub(crate) type Result<T> = std::result::Result<T, JsValue>;

/// This origin's profile. Calls return what is durable; what comes of them later is told.
#[wasm_bindgen]
pub struct Profile {
    shell: Shell,
}

#[wasm_bindgen]
impl Profile {
    /// Opens the database with its 32 byte key, or makes it, and begins to connect to `url`. Events go to `listener`. The
    /// key is wiped from what was given.
    ///
    /// # Errors
    /// `storage` when the browser gives no files, or another tab holds them; `malformed`, `failed`.
    pub async fn open(key: js_sys::Uint8Array, url: String, listener: Function) -> Result<Profile> {
        let bytes: [u8; 32] = key.to_vec().try_into().map_err(|_| malformed("a key of 32 bytes"))?;
        key.fill(0, 0, 32);
        let database = open_database(&DatabaseKey::from_bytes(bytes)).await.map_err(|error| match &error {
            StorageError::Files(_) => thrown("storage", &error),
            StorageError::Database(_) => thrown("failed", &error),
        })?;
        let client = Client::open(database, Box::new(OsEntropy)).map_err(|error| from_client(&error))?;
        let listener = Box::new(move |told: std::result::Result<_, client::Error>| {
            let event = match told {
                Ok(event) => Event::of(event),
                Err(error) => Event::Failed { reason: error.to_string() },
            };
            if let Ok(event) = event.into_ts() {
                // What a listener throws is its own.
                let _ = listener.call1(&JsValue::NULL, &event.js_value());
            }
        });
        let shell = Shell::new(client, url, listener);
        shell.start();
        Ok(Self { shell })
    }

    /// Where an invite leads.
    ///
    /// # Errors
    /// `malformed`.
    pub fn invitation(&self, line: &str) -> Result<Ts<Invitation>> {
        let InviteLink { host, port, tenant, .. } = InviteLink::from_str(line).map_err(|_| malformed("an invite"))?;
        shown(Invitation { host, port, tenant })
    }

    /// Redeems an invite. Told: `joined` or `refused`.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    pub fn join(&self, invite: &str, handle: &str, password: &str) -> Result<()> {
        let invite = InviteLink::from_str(invite).map_err(|_| malformed("an invite"))?;
        self.call(|client| client.join(&invite.tenant, &invite.code, handle, password.as_bytes(), now()))
    }

    /// Logs in: this profile becomes a further device of a person. Told: `link_code`, then `joined`, or `refused`.
    ///
    /// # Errors
    /// `refused`, `failed`.
    pub fn link(&self, tenant: &str, handle: &str, password: &str, device: &str) -> Result<()> {
        self.call(|client| client.link(tenant, handle, password.as_bytes(), device, now()))
    }

    /// Looks at the device that waits under a code. Told: `link_offered`.
    ///
    /// # Errors
    /// `refused`, `failed`.
    #[wasm_bindgen(js_name = openLink)]
    pub fn open_link(&self, code: &str) -> Result<()> {
        self.call(|client| client.open_link(code, now()))
    }

    /// The person has compared the numbers. Told: `link_confirmed`.
    ///
    /// # Errors
    /// `refused`, `failed`.
    #[wasm_bindgen(js_name = confirmLink)]
    pub fn confirm_link(&self) -> Result<()> {
        self.call(|client| client.confirm_link(now()))
    }

    /// How things stand.
    ///
    /// # Errors
    /// `failed`.
    pub fn status(&self) -> Result<Ts<Status>> {
        shown(self.read(|reader| reader.status())?)
    }

    /// All conversations.
    ///
    /// # Errors
    /// `refused` before the device has joined, `failed`.
    pub fn conversations(&self) -> Result<Ts<Conversations>> {
        shown(Conversations(self.read(|reader| reader.conversations())?))
    }

    /// The line at a place with so many before and after it, 500 each at most; without a place, the last ones.
    ///
    /// # Errors
    /// `malformed`, `failed`.
    pub fn window(
        &self,
        conversation: &str,
        at: Option<String>,
        before: u32,
        after: u32,
    ) -> Result<Option<Ts<Window>>> {
        let id = conversation_id(conversation)?;
        let at = at.map(|place| place.parse().map_err(|_| malformed("the place of a line"))).transpose()?;
        let (before, after) = (before.min(LINES_MAX), after.min(LINES_MAX));
        self.read(|reader| reader.window(id, at, before, after))?.map(shown).transpose()
    }

    /// Lines that hold every part of the query, the newest first, 500 at most.
    ///
    /// # Errors
    /// `failed`.
    pub fn search(&self, query: &str, limit: u32) -> Result<Ts<Findings>> {
        shown(Findings(self.read(|reader| reader.search(query, limit.min(LINES_MAX)))?))
    }

    /// Who is in a conversation.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    pub fn members(&self, conversation: &str) -> Result<Ts<Members>> {
        let id = conversation_id(conversation)?;
        let views = self.call(|client| client.members(id, now()))?;
        shown(Members(views.into_iter().map(Member::from).collect()))
    }

    /// A person's keys.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    pub fn contact(&self, user: &str) -> Result<Option<Ts<Contact>>> {
        let id = user_id(user)?;
        self.read(|reader| reader.contact(id))?.map(shown).transpose()
    }

    /// Notes that the safety number was compared, or takes that back.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = setVerified)]
    pub fn set_verified(&self, user: &str, verified: bool) -> Result<()> {
        let id = user_id(user)?;
        self.call(|client| client.set_verified(id, verified, now()))
    }

    /// Looks a person up. Told: `contact`; nothing without a connection.
    ///
    /// # Errors
    /// `refused`, `failed`.
    #[wasm_bindgen(js_name = findUser)]
    pub fn find_user(&self, handle: &str) -> Result<()> {
        self.call(|client| client.find_user(handle, now()))
    }

    /// The direct conversation with a person who was looked up.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = startDirect)]
    pub fn start_direct(&self, user: &str) -> Result<String> {
        let id = user_id(user)?;
        self.call(|client| client.start_direct(id, now())).map(|id| id.to_string())
    }

    /// A new group with people who were looked up.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = startGroup)]
    pub fn start_group(&self, name: &str, users: Vec<String>) -> Result<String> {
        let users = users.iter().map(|user| user_id(user)).collect::<Result<Vec<_>>>()?;
        self.call(|client| client.start_group(name, &users, now())).map(|id| id.to_string())
    }

    /// Adds people who were looked up to a group.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = addMembers)]
    pub fn add_members(&self, conversation: &str, users: Vec<String>) -> Result<()> {
        let id = conversation_id(conversation)?;
        let users = users.iter().map(|user| user_id(user)).collect::<Result<Vec<_>>>()?;
        self.call(|client| client.add_members(id, &users, now())).map(drop)
    }

    /// Removes a person from a group.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = removeMember)]
    pub fn remove_member(&self, conversation: &str, user: &str) -> Result<()> {
        let (id, user) = (conversation_id(conversation)?, user_id(user)?);
        self.call(|client| client.remove_members(id, &[user], now())).map(drop)
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    pub fn leave(&self, conversation: &str) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.leave_group(id, now())).map(drop)
    }

    /// Sends a text, as Markdown; the members that it names are told so. Durable when this returns.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    pub fn send(&self, conversation: &str, text: &str, reply_to: Option<String>) -> Result<String> {
        let id = conversation_id(conversation)?;
        let reply_to = reply_to.map(|target| message_id(&target)).transpose()?;
        let message = self.call(|client| {
            let content = Content::new(Body::Markdown(text.into()), now());
            let content = client.with_mentions(id, content, now())?;
            let content = reply_to.map_or(content.clone(), |target| content.replying_to(target));
            client.send(id, &content, now())
        })?;
        Ok(message.to_string())
    }

    /// New words for an own message.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    pub fn edit(&self, conversation: &str, message: &str, text: &str) -> Result<()> {
        let (id, target) = (conversation_id(conversation)?, message_id(message)?);
        self.call(|client| {
            let content = Content::new(Body::Edit { target, text: text.into() }, now());
            let content = client.with_mentions(id, content, now())?;
            client.send(id, &content, now())
        })
        .map(drop)
    }

    /// Takes an own message back.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = deleteMessage)]
    pub fn delete_message(&self, conversation: &str, message: &str) -> Result<()> {
        let (id, target) = (conversation_id(conversation)?, message_id(message)?);
        self.call(|client| client.send(id, &Content::new(Body::Delete { target }, now()), now())).map(drop)
    }

    /// Reacts to a message, or takes a reaction back.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    pub fn react(&self, conversation: &str, message: &str, symbol: &str, removed: bool) -> Result<()> {
        let (id, target) = (conversation_id(conversation)?, message_id(message)?);
        let reaction = Reaction { target, symbol: symbol.into(), removed };
        self.call(|client| client.send(id, &Content::new(Body::Reaction(reaction), now()), now())).map(drop)
    }

    /// Everything in the conversation was read.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    #[wasm_bindgen(js_name = markRead)]
    pub fn mark_read(&self, conversation: &str) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.mark_read(id, now()))
    }

    /// The person is writing.
    ///
    /// # Errors
    /// `malformed`, `refused`, `failed`.
    pub fn typing(&self, conversation: &str) -> Result<()> {
        let id = conversation_id(conversation)?;
        self.call(|client| client.typing(id, now()))
    }

    pub(crate) fn call<T>(&self, call: impl FnOnce(&mut Client) -> std::result::Result<T, client::Error>) -> Result<T> {
        self.shell.call(call).map_err(|error| from_client(&error))
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Reader<'_>) -> std::result::Result<T, client::Error>) -> Result<T> {
        self.shell.ask(|client| read(&Reader::new(client))).map_err(|error| from_client(&error))
    }
}

/// A view as JavaScript takes it.
pub(crate) fn shown<T: Tsify + serde::Serialize>(view: T) -> Result<Ts<T>> {
    view.into_ts().map_err(|error| thrown("failed", &error))
}

pub(crate) fn conversation_id(text: &str) -> Result<ConversationId> {
    text.parse().map_err(|_| malformed("a conversation's id"))
}

pub(crate) fn user_id(text: &str) -> Result<UserId> {
    text.parse().map_err(|_| malformed("a person's id"))
}

pub(crate) fn message_id(text: &str) -> Result<MessageId> {
    text.parse().map_err(|_| malformed("a message's id"))
}
