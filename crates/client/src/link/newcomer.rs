//! The new device: it proves the person's password, leaves an offer that only the holder of its code can read, and becomes
//! the person's when another of their devices has answered. What it has made is on the disk before it leaves, so that it goes
//! on after a crash with the same code.

use super::{LinkCode, device_name};
use crate::client::Client;
use crate::database::account::{self, Account};
use crate::database::contact;
use crate::database::conversation::{self, ConversationRow};
use crate::database::device::{self, DeviceNote};
use crate::database::link::{self, Link};
use crate::session::{Phase, Work};
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error, Event};
use e2ee::Suite;
use std::sync::Arc;
use trust::{AuthorityPublicKey, DeviceChain};
use vault::link::{LinkAnswer, LinkKeys, LinkOffer, LinkPackage, LinkSecret, LinkedContact};
use vault::password::{Login, PasswordError};
use vault::{AccountKey, DeviceKey};
use wire::request::{
    CollectLink, CollectedLink, FetchOwnChain, Greeting, LoggedIn, LoginChallenge, LoginFinish, LoginStart, OfferLink,
    OwnChain,
};
use wire::{DeviceId, ErrorCode, Refusal, UnixMillis, UserId};
use zeroize::Zeroizing;

/// The server is asked so often whether the link was confirmed.
const ASK_EVERY_MS: u64 = 2_000;
/// A code that nobody has used is not shown again after this.
const CODE_LIFE_MS: u64 = 10 * 60_000;

/// A link under way: what is not on the disk.
pub(crate) struct Linking {
    pub(crate) tenant: String,
    handle: String,
    password: Zeroizing<Vec<u8>>,
    name: String,
    login: Option<Login>,
    user: Option<UserId>,
    /// The offer is at the server.
    offered: bool,
    /// Another device has added this one to the chain.
    confirmed: bool,
}

impl Client {
    /// Makes this profile a further device of a person, with the next connection and with another of their devices, which
    /// [`Event::LinkCode`] is for. A link that was begun is taken up again, with the same code.
    ///
    /// # Errors
    /// [`Error::AlreadyJoined`], [`Error::InvalidDeviceName`], [`Error::Database`].
    pub fn link(
        &mut self,
        tenant: &str,
        handle: &str,
        password: &[u8],
        name: &str,
        now: UnixMillis,
    ) -> Result<(), Error> {
        let name = device_name(name)?;
        self.turn(now, |turn| {
            if turn.memory.account.is_some() {
                return Err(Error::AlreadyJoined);
            }
            turn.memory.linking = Some(Linking {
                tenant: tenant.into(),
                handle: handle.into(),
                password: Zeroizing::new(password.to_vec()),
                name,
                login: None,
                user: None,
                offered: false,
                confirmed: false,
            });
            if let Phase::Offline { retry_at } = &mut turn.memory.session.phase {
                *retry_at = now;
            }
            Ok(())
        })
    }
}

impl Turn<'_> {
    /// Begins to prove the password.
    pub(crate) fn start_login(&mut self) -> Result<(), Error> {
        let linking = self.memory.linking.as_mut().ok_or(Error::NotJoined)?;
        let (login, ke1) = Login::start(&linking.password, self.entropy)?;
        (linking.login, linking.user, linking.offered) = (Some(login), None, false);
        let handle = linking.handle.clone();
        self.memory.session.phase = Phase::Linking;
        self.request(Work::LoginStart, &LoginStart { handle, ke1 });
        Ok(())
    }

    pub(crate) fn login_challenged(&mut self, challenge: &LoginChallenge) -> Result<(), Error> {
        let tenant = self.greeting()?.tenant;
        let linking = self.memory.linking.as_mut().ok_or(Error::NotJoined)?;
        let login = linking.login.take().ok_or(Error::Protocol("an answer to another attempt"))?;
        match login.finish(tenant, &linking.password, &challenge.ke2, self.entropy) {
            Ok((ke3, _)) => self.request(Work::LoginFinish, &LoginFinish { ke3 }),
            Err(PasswordError::WrongPassword) => return self.link_refused(&ErrorCode::WrongCredentials.into()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    pub(crate) fn logged_in(&mut self, logged_in: LoggedIn) -> Result<(), Error> {
        self.linking()?.user = Some(logged_in.user);
        self.request(Work::OwnChain, &FetchOwnChain {});
        Ok(())
    }

    /// Makes the offer on the chain as it is, unless there is one already that fits.
    pub(crate) fn own_chain(&mut self, own: &OwnChain) -> Result<(), Error> {
        let tenant = self.greeting()?.tenant;
        let user = self.linking()?.user.ok_or(Error::Protocol("a chain before the login"))?;
        let chain = DeviceChain::verify(tenant, user, &own.entries, None)
            .map_err(|_| Error::Protocol("the person's own device chain does not verify"))?;
        let link = match link::load(self.db)?.filter(|link| (link.tenant, link.user) == (tenant, user)) {
            // Another device has confirmed it already: the answer waits.
            Some(link) if chain.device(link.device).is_some() => link,
            Some(link) if self.now >= link.made_at.saturating_add(CODE_LIFE_MS) => self.new_link(&chain)?,
            Some(link) if link.chain_len == chain.head().len => link,
            Some(link) => self.offer_on(&chain, link.device, link.device_key, link.secret)?,
            None => self.new_link(&chain)?,
        };
        link::save(self.db, &link)?;
        let linking = self.linking()?;
        linking.handle = own.handle.clone();
        linking.confirmed = chain.device(link.device).is_some();
        let lookup = keys(&link)?.lookup().into();
        self.request(Work::OfferLink, &OfferLink { lookup, offer: link.offer });
        Ok(())
    }

    /// The offer waits: the person has to carry the code over. If the device is confirmed already, the answer was not fetched in
    /// time and is gone: it begins anew, as another device.
    pub(crate) fn offered(&mut self) -> Result<(), Error> {
        if self.linking()?.confirmed {
            link::forget(self.db)?;
            self.request(Work::OwnChain, &FetchOwnChain {});
            return Ok(());
        }
        let link = self.stored_link()?;
        self.linking()?.offered = true;
        let (code, number) = (LinkCode(link.secret.to_code()), keys(&link)?.number(&link.offer));
        self.tell(Event::LinkCode { code, number });
        Ok(())
    }

    /// An offer that was answered before is not taken again: the answer is what this device wants.
    pub(crate) fn offer_refused(&mut self, refusal: &Refusal) -> Result<(), Error> {
        if refusal.code() != Some(ErrorCode::AlreadyExists) {
            return self.link_refused(refusal);
        }
        self.linking()?.offered = true;
        Ok(())
    }

    /// Asks again, when it is time, whether the link was confirmed.
    pub(crate) fn collect_link(&mut self) -> Result<(), Error> {
        let offered = self.memory.linking.as_ref().is_some_and(|linking| linking.offered);
        if offered && !self.memory.session.is_busy(&Work::CollectLink, self.now) {
            let lookup = keys(&self.stored_link()?)?.lookup().into();
            self.request(Work::CollectLink, &CollectLink { lookup });
        }
        Ok(())
    }

    pub(crate) fn collected(&mut self, collected: &CollectedLink) -> Result<(), Error> {
        let link = self.stored_link()?;
        match &collected.answer {
            Some(answer) => match self.become_linked(link, answer) {
                Err(Error::Link(error)) => self.link_failed(&error.to_string()),
                other => other,
            },
            // The entry in the offer would not be the next one any more.
            None if collected.chain_len != link.chain_len => {
                self.linking()?.offered = false;
                self.request(Work::OwnChain, &FetchOwnChain {});
                Ok(())
            }
            None => {
                self.memory.session.delay(Work::CollectLink, self.now.saturating_add(ASK_EVERY_MS));
                Ok(())
            }
        }
    }

    /// The server does not let the person go on. What was made is dropped if trying again cannot help.
    pub(crate) fn link_refused(&mut self, refusal: &Refusal) -> Result<(), Error> {
        // Waiting for the next guess takes minutes: that is the person's to decide.
        if !is_transient(refusal) || refusal.code() == Some(ErrorCode::RateLimited) {
            if refusal.code() == Some(ErrorCode::NotFound) {
                link::forget(self.db)?;
            }
            self.memory.linking = None;
            self.tell(Event::LinkRefused(refusal.clone()));
        }
        self.memory.session.phase = Phase::Closing;
        Ok(())
    }

    fn link_failed(&mut self, reason: &str) -> Result<(), Error> {
        link::forget(self.db)?;
        self.memory.linking = None;
        self.memory.session.phase = Phase::Closing;
        self.tell(Event::LinkFailed { reason: reason.into() });
        Ok(())
    }

    /// Everything that makes this device the person's, in one transaction; the next connection is a device's.
    fn become_linked(&mut self, link: Link, answer: &[u8]) -> Result<(), Error> {
        let LinkAnswer { account: account_key, archive, package } = keys(&link)?.open_answer(&link.offer, answer)?;
        let authority = package.authority_key.map(AuthorityPublicKey::from_bytes);
        if let Some(reason) = objection(&link, &account_key, &package, authority.as_ref()) {
            return self.link_failed(reason);
        }
        let suite = Suite::from_code(self.greeting()?.suite)
            .ok_or(Error::Protocol("the server wants an unknown cipher suite"))?;
        let Link { tenant, user, device, device_key, .. } = link;
        let linking = self.memory.linking.take().ok_or(Error::NotJoined)?;
        let (tenant_name, handle) = (linking.tenant, package.handle.clone());
        let account = Account {
            tenant,
            tenant_name,
            user,
            device,
            handle: handle.clone(),
            account_key,
            device_key,
            join_finish: None,
            suite: suite.code(),
            authority,
        };
        account::save(self.db, &account)?;
        self.memory.account = Some(Arc::new(account));
        device::save_note(self.db, device, &DeviceNote { name: Some(linking.name), since: Some(self.now) })?;
        self.unpack(user, &package)?;
        self.take_archive_keys(&archive)?;
        link::forget(self.db)?;
        self.memory.session.phase = Phase::Closing;
        self.tell(Event::Linked { user, handle });
        Ok(())
    }

    /// Takes over what the confirming device knows: nobody is trusted at first sight again.
    fn unpack(&mut self, own: UserId, package: &LinkPackage) -> Result<(), Error> {
        let (handle, chain) = (package.handle.clone(), package.chain.clone());
        let own = LinkedContact { user: own, handle, chain };
        for contact in std::iter::once(&own).chain(&package.contacts) {
            if contact::chain(self.db, contact.user)?.is_empty() {
                self.pin(contact.user, &contact.handle, &contact.chain)?;
            }
        }
        for known in &package.devices {
            let note = DeviceNote { name: known.name.clone(), since: known.since };
            device::save_note(self.db, known.device, &note)?;
        }
        for known in &package.conversations {
            let row = ConversationRow {
                peer: known.peer,
                name: known.name.clone(),
                topic: known.topic.clone(),
                ..ConversationRow::new(known.id, known.kind, ConversationState::Joining)
            };
            conversation::save(self.db, &row)?;
        }
        Ok(())
    }

    fn new_link(&mut self, chain: &DeviceChain) -> Result<Link, Error> {
        let device = DeviceId::from_bytes(self.entropy.array());
        let (key, secret) = (DeviceKey::generate(self.entropy), LinkSecret::generate(self.entropy));
        self.offer_on(chain, device, key, secret)
    }

    fn offer_on(
        &mut self,
        chain: &DeviceChain,
        device: DeviceId,
        device_key: DeviceKey,
        secret: LinkSecret,
    ) -> Result<Link, Error> {
        let (tenant, user, chain_len) = (self.greeting()?.tenant, chain.user(), chain.head().len);
        let name = self.linking()?.name.clone();
        let offer = LinkOffer::new(name, device_key.offer_itself(chain, device));
        let offer = secret.keys(tenant, user)?.seal_offer(&offer, self.entropy)?;
        Ok(Link { tenant, user, device, device_key, secret, offer, chain_len, made_at: self.now })
    }

    fn linking(&mut self) -> Result<&mut Linking, Error> {
        self.memory.linking.as_mut().ok_or(Error::Protocol("an answer to a link that is over"))
    }

    fn stored_link(&self) -> Result<Link, Error> {
        link::load(self.db)?.ok_or(Error::Protocol("an answer to a link that is over"))
    }

    fn greeting(&self) -> Result<&Greeting, Error> {
        self.memory.session.greeting.as_ref().ok_or(Error::Protocol("no greeting"))
    }
}

fn keys(link: &Link) -> Result<LinkKeys, Error> {
    Ok(link.secret.keys(link.tenant, link.user)?)
}

/// Why an answer that opens is still not what this device wants: it must be in the chain with its own key, under the account
/// key that came along.
fn objection(
    link: &Link,
    account_key: &AccountKey,
    package: &LinkPackage,
    authority: Option<&AuthorityPublicKey>,
) -> Option<&'static str> {
    match DeviceChain::verify(link.tenant, link.user, &package.chain, authority) {
        Err(_) => Some("the device chain that came with the answer does not verify"),
        Ok(chain) if *chain.account_key() != account_key.public() => Some("the account key is not the chain's"),
        Ok(chain) if !chain.vouches_for(link.device, &link.device_key.public()) => {
            Some("this device is not in the person's device chain")
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests;
