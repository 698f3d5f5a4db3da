//! The device that confirms: it opens what waits under a code, shows it, and on the person's word signs the new device into
//! the chain and leaves for it what it needs.

use crate::client::Client;
use crate::contacts;
use crate::database::device::{self, DeviceNote};
use crate::database::{archive, contact, conversation};
use crate::session::Work;
use crate::turn::Turn;
use crate::{ConversationState, Error, Event};
use std::sync::Arc;
use trust::{Action, AuthorityPublicKey, ChainError, DeviceChain, DeviceState, chain::decode};
use vault::link::{LinkKeys, LinkOffer, LinkPackage, LinkSecret, LinkedContact, LinkedConversation, LinkedDevice};
use wire::request::{AnswerLink, FetchOffer, FetchedOffer, SignedEntry};
use wire::{DeviceId, ErrorCode, Refusal, UnixMillis, limits};

/// Room for the account key, the seal and what is not counted entry by entry.
const ROOM_BYTES: usize = 64 << 10;

/// A link code that the person has given to this device.
pub(crate) struct Opening {
    keys: LinkKeys,
    sealed: Vec<u8>,
    offer: Option<LinkOffer>,
    /// The person has compared the numbers, at this time.
    confirmed_at: Option<UnixMillis>,
}

/// The new device should find what was said before. If there is more than is archived within this time, it comes later.
const ARCHIVE_FIRST_MS: u64 = 10_000;

impl Client {
    /// Looks at what waits under a link code. The outcome is an event: [`Event::LinkOffered`], [`Event::LinkConfirmed`] when
    /// it was confirmed before, [`Event::LinkRefused`] or [`Event::LinkFailed`]. Without a connection nothing happens.
    ///
    /// # Errors
    /// [`Error::Link`] when it is not a code; [`Error::NotJoined`], [`Error::Database`].
    pub fn open_link(&mut self, code: &str, now: UnixMillis) -> Result<(), Error> {
        let (tenant, user) = (self.account()?.tenant, self.account()?.user);
        let keys = LinkSecret::from_code(code)?.keys(tenant, user)?;
        if !self.is_live() {
            return Ok(());
        }
        self.turn(now, |turn| {
            let lookup = keys.lookup().into();
            turn.memory.opening = Some(Opening { keys, sealed: Vec::new(), offer: None, confirmed_at: None });
            turn.request(Work::FetchOffer, &FetchOffer { lookup });
            Ok(())
        })
    }

    /// The person has compared the numbers: the device that was [offered](Event::LinkOffered) last becomes theirs. The
    /// outcome is an event: [`Event::LinkConfirmed`], [`Event::LinkRefused`] or [`Event::LinkFailed`].
    ///
    /// # Errors
    /// [`Error::NoLinkOffer`], [`Error::NotJoined`], [`Error::Database`].
    pub fn confirm_link(&mut self, now: UnixMillis) -> Result<(), Error> {
        self.account()?;
        self.turn(now, |turn| {
            let opening = turn.memory.opening.as_mut().filter(|opening| opening.offer.is_some());
            opening.ok_or(Error::NoLinkOffer)?.confirmed_at = Some(now);
            turn.archive_at_once();
            Ok(())
        })
    }
}

impl Turn<'_> {
    pub(crate) fn fetched_offer(&mut self, fetched: FetchedOffer) -> Result<(), Error> {
        let Some(mut opening) = self.memory.opening.take() else { return Ok(()) };
        let offer = match opening.keys.open_offer(&fetched.offer) {
            Ok(offer) => offer,
            Err(error) => return self.fail_link(&error.to_string()),
        };
        let name: String = offer.name.chars().take(limits::DEVICE_NAME_MAX_CHARS).collect();
        let (account, chain) = (self.account()?, self.chain_of_own()?);
        match account.account_key.accept(&chain, &offer.entry) {
            Ok(entry) => {
                let number = opening.keys.number(&fetched.offer);
                let device = introduced(&entry);
                opening.sealed = fetched.offer;
                opening.offer = Some(offer);
                self.memory.opening = Some(opening);
                self.archive_at_once();
                self.tell(Event::LinkOffered { device, name, number });
                Ok(())
            }
            Err(refused) => match already(&chain, &offer) {
                Some(device) => self.linked(device, name),
                None => self.fail_link(&reason(refused)),
            },
        }
    }

    /// Does what the person has confirmed, as soon as the archive has what this device knows.
    pub(crate) fn confirm_link(&mut self) -> Result<(), Error> {
        let confirmed = self.memory.opening.as_ref().and_then(|opening| opening.confirmed_at);
        let Some(at) = confirmed else { return Ok(()) };
        let is_sent = self.memory.session.is_busy(&Work::AnswerLink, self.now);
        if is_sent || (self.is_archiving() && self.now < at.saturating_add(ARCHIVE_FIRST_MS)) {
            return Ok(());
        }
        let opening = self.memory.opening.take().ok_or(Error::NoLinkOffer)?;
        let offer = opening.offer.as_ref().ok_or(Error::NoLinkOffer)?;
        let (account, chain) = (self.account()?, self.chain_of_own()?);
        let entry = match account.account_key.accept(&chain, &offer.entry) {
            Ok(entry) => entry,
            Err(refused) => return self.fail_link(&reason(refused)),
        };
        let package = self.package(&entry)?;
        // The first device that is linked is what an archive is for.
        self.make_own_group()?;
        self.archive_key()?;
        let archive = archive::keys(self.db)?;
        let sealed = &opening.sealed;
        let answer = opening.keys.seal_answer(sealed, &account.account_key, &archive, &package, self.entropy)?;
        let link = AnswerLink { lookup: opening.keys.lookup().into(), entry, answer };
        self.request(Work::AnswerLink, &link);
        self.memory.opening = Some(opening);
        Ok(())
    }

    /// The server has recorded it. The chain is fetched again rather than believed to be what was sent.
    pub(crate) fn answered_link(&mut self) -> Result<(), Error> {
        let account = self.account()?;
        self.memory.fresh.remove(&account.user);
        self.memory.wanted.insert(account.user);
        let Some(offer) = self.memory.opening.take().and_then(|opening| opening.offer) else { return Ok(()) };
        let device = decode_device(&offer);
        device.map_or(Ok(()), |device| self.linked(device, offer.name))
    }

    pub(crate) fn answer_refused(&mut self, refusal: &Refusal) -> Result<(), Error> {
        self.memory.opening = None;
        if refusal.code() == Some(ErrorCode::ChainMoved) {
            let own = self.account()?.user;
            self.memory.fresh.remove(&own);
            self.memory.wanted.insert(own);
        }
        self.tell(Event::LinkRefused(refusal.clone()));
        Ok(())
    }

    fn linked(&mut self, device: DeviceId, name: String) -> Result<(), Error> {
        let note = DeviceNote { name: Some(name.clone()), since: Some(self.now) };
        device::save_note(self.db, device, &note)?;
        self.tell(Event::LinkConfirmed { device, name });
        Ok(())
    }

    fn fail_link(&mut self, reason: &str) -> Result<(), Error> {
        self.memory.opening = None;
        self.tell(Event::LinkFailed { reason: reason.into() });
        Ok(())
    }

    pub(crate) fn chain_of_own(&self) -> Result<Arc<DeviceChain>, Error> {
        let account = self.account()?;
        let chain = contacts::chain(self.db, &self.memory.chains, &account, account.user)?;
        chain.ok_or(Error::Database(crate::DatabaseError::Damaged))
    }

    /// What the new device needs. If not everybody's chain fits, those of the people whom this person talks to directly go
    /// first; the others are looked up again by the new device.
    fn package(&self, entry: &SignedEntry) -> Result<LinkPackage, Error> {
        let account = self.account()?;
        let chain = [contact::chain(self.db, account.user)?, vec![entry.clone()]].concat();
        let authority = account.authority.as_ref().map(AuthorityPublicKey::as_bytes).copied();
        let mut package = LinkPackage::new(account.handle.clone(), chain, authority);
        for row in conversation::all(self.db)? {
            if matches!(row.state, ConversationState::Active | ConversationState::Repairing) {
                let (id, kind, peer, name, topic) = (row.id, row.kind, row.peer, row.name, row.topic);
                package.conversations.push(LinkedConversation { id, kind, peer, name, topic });
            }
        }
        for (device, _) in self.chain_of_own()?.devices() {
            let DeviceNote { name, since } = device::note(self.db, device)?;
            package.devices.push(LinkedDevice { device, name, since });
        }
        let mut left = limits::LINK_ANSWER_MAX_BYTES.saturating_sub(ROOM_BYTES + wire::encode(&package).len());
        let mut contacts = contact::all(self.db)?;
        contacts.retain(|contact| contact.user != account.user);
        contacts.sort_by_key(|contact| package.conversations.iter().all(|known| known.peer != Some(contact.user)));
        for row in contacts {
            let contact =
                LinkedContact { user: row.user, handle: row.handle, chain: contact::chain(self.db, row.user)? };
            let bytes = wire::encode(&contact).len();
            if bytes <= left {
                left -= bytes;
                package.contacts.push(contact);
            }
        }
        Ok(package)
    }
}

/// The device that an entry adds.
fn introduced(entry: &SignedEntry) -> DeviceId {
    match decode(entry).map(|entry| entry.action) {
        Ok(Action::Add { device, .. } | Action::Open { device, .. } | Action::Revoke { device }) => device,
        _ => DeviceId::from_bytes([0; 16]),
    }
}

fn decode_device(offer: &LinkOffer) -> Option<DeviceId> {
    let entry: trust::ChainEntry = wire::decode(&offer.entry.payload).ok()?;
    match entry.action {
        Action::Add { device, .. } => Some(device),
        _ => None,
    }
}

/// The device of an offer, if it is in the chain by now.
fn already(chain: &DeviceChain, offer: &LinkOffer) -> Option<DeviceId> {
    let entry: trust::ChainEntry = wire::decode(&offer.entry.payload).ok()?;
    match entry.action {
        Action::Add { device, device_key } => {
            let there = chain.device(device).is_some_and(|there| there.state == DeviceState::Active);
            (there && chain.vouches_for(device, &device_key)).then_some(device)
        }
        _ => None,
    }
}

fn reason(refused: ChainError) -> String {
    match refused {
        ChainError::Broken => "your devices have changed since the code was made: wait until the new device shows another number, then try again".into(),
        ChainError::Forbidden => "no further device can be added: one of yours has to be revoked first".into(),
        other => other.to_string(),
    }
}
