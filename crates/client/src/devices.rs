//! The person's own devices: which there are, and revoking one. What others learn of it is in [`crate::contacts`], what is
//! done about it in [`crate::sweep`].

use crate::client::Client;
use crate::contacts;
use crate::database::contact;
use crate::database::device::{self, DeviceNote};
use crate::database::meta;
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{Error, Event};
use std::collections::BTreeSet;
use trust::{Action, DeviceState, chain};
use wire::request::{ChainChanges, FetchChainChanges, RevokeDevice};
use wire::{DeviceId, ErrorCode, Refusal, UnixMillis};

/// One of the person's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// Its id.
    pub id: DeviceId,
    /// What the person calls it, if this device knows.
    pub name: Option<String>,
    /// Whether it speaks for the person.
    pub state: DeviceState,
    /// It is this one.
    pub this: bool,
    /// When it joined or was linked, if this device knows.
    pub since: Option<UnixMillis>,
}

impl Client {
    /// The person's devices, as their chain has them; those that were revoked too.
    ///
    /// # Errors
    /// [`Error::NotJoined`], [`Error::Database`].
    pub fn devices(&self) -> Result<Vec<DeviceView>, Error> {
        let account = self.account()?;
        let chain = contacts::chain(self.reader(), self.chains(), account, account.user)?.ok_or(Error::NotJoined)?;
        let view = |(id, known): (DeviceId, &trust::chain::Device)| {
            let DeviceNote { name, since } = device::note(self.reader(), id)?;
            Ok(DeviceView { id, name, state: known.state, this: id == account.device, since })
        };
        let mut views = chain.devices().map(view).collect::<Result<Vec<_>, Error>>()?;
        views.sort_by_key(|view| (view.state != DeviceState::Active, view.since, view.id));
        Ok(views)
    }

    /// Revokes another device of the person, when this is possible. The outcome is an event: [`Event::DeviceRevoked`] or
    /// [`Event::RevokeRefused`]. It is durable when this returns: after a crash it is gone on with.
    ///
    /// # Errors
    /// [`Error::OwnDevice`], [`Error::UnknownDevice`], [`Error::DeviceGone`]; [`Error::NotJoined`], [`Error::Database`].
    pub fn revoke_device(&mut self, id: DeviceId, now: UnixMillis) -> Result<(), Error> {
        let own = self.account()?.device;
        self.turn(now, |turn| {
            let chain = turn.chain_of_own()?;
            match chain.device(id).map(|known| known.state) {
                _ if id == own => Err(Error::OwnDevice),
                None => Err(Error::UnknownDevice),
                Some(DeviceState::Active) => Ok(device::want_revoked(turn.db, id)?),
                Some(_) => Err(Error::DeviceGone),
            }
        })
    }
}

impl Turn<'_> {
    /// Signs the next revocation that the person wants, on the chain as it is.
    pub(crate) fn revoke_wanted(&mut self) -> Result<(), Error> {
        let account = self.account()?;
        if self.memory.wanted.contains(&account.user) {
            return Ok(());
        }
        while let Some(id) = device::to_revoke(self.db)? {
            let chain = self.chain_of_own()?;
            if chain.device(id).is_none_or(|known| known.state != DeviceState::Active) {
                device::forget_revocation(self.db, id)?;
                self.tell(Event::DeviceRevoked(id));
                continue;
            }
            if !self.memory.session.is_busy(&Work::Revoke(id), self.now) {
                let entry = account.account_key.continue_chain(&chain, Action::Revoke { device: id }, None);
                self.request(Work::Revoke(id), &RevokeDevice { entry });
            }
            break;
        }
        Ok(())
    }

    /// The person's chain has grown, by this device or another: it is fetched before anything is built on it.
    pub(crate) fn own_chain_moved(&mut self) -> Result<(), Error> {
        let own = self.account()?.user;
        self.memory.fresh.remove(&own);
        self.memory.wanted.insert(own);
        Ok(())
    }

    pub(crate) fn revoke_refused(&mut self, id: DeviceId, refusal: &Refusal) -> Result<(), Error> {
        if refusal.code() == Some(ErrorCode::ChainMoved) {
            return self.own_chain_moved();
        }
        if is_transient(refusal) {
            self.later(Work::Revoke(id), refusal);
            return Ok(());
        }
        device::forget_revocation(self.db, id)?;
        self.tell(Event::RevokeRefused { device: id, refusal: refusal.clone() });
        Ok(())
    }

    /// A restored server may have lost that a device of the person was revoked: it is told again, entry by entry.
    pub(crate) fn republish_revocation(&mut self) -> Result<(), Error> {
        let Some(place) = self.memory.chain_len_there else { return Ok(()) };
        let entries = contact::chain(self.db, self.account()?.user)?;
        let Some(entry) = usize::try_from(place).ok().and_then(|place| entries.get(place)) else { return Ok(()) };
        let is_revocation = chain::decode(entry).is_ok_and(|entry| matches!(entry.action, Action::Revoke { .. }));
        if is_revocation {
            self.request(Work::Republish, &RevokeDevice { entry: entry.clone() });
        }
        Ok(())
    }

    pub(crate) fn republished(&mut self) -> Result<(), Error> {
        self.memory.chain_len_there = self.memory.chain_len_there.and_then(|len| len.checked_add(1));
        self.republish_revocation()
    }

    /// A restored server numbers anew whose chains have grown: it is asked from the beginning, before anything is sealed.
    pub(crate) fn ask_for_all_changes(&mut self) -> Result<(), Error> {
        let is_marked = meta::number(self.db, meta::CHAIN_MARK)? > 0;
        if is_marked && !std::mem::replace(&mut self.memory.chains_anew, true) {
            meta::set_number(self.db, meta::CHAIN_MARK, 0)?;
            (self.memory.chain_mark, self.memory.behind_on) = (Some(0), None);
            self.memory.ask_for_changes = true;
        }
        Ok(())
    }

    /// Asks whose devices have changed while this one was away.
    pub(crate) fn ask_for_changes(&mut self) -> Result<(), Error> {
        if self.memory.ask_for_changes && !self.memory.session.is_busy(&Work::ChainChanges, self.now) {
            self.memory.ask_for_changes = false;
            let after = self.memory.chain_mark.map_or_else(|| meta::number(self.db, meta::CHAIN_MARK), Ok)?;
            self.request(Work::ChainChanges, &FetchChainChanges { after });
        }
        Ok(())
    }

    /// The mark is kept when the chains have come, so that a crash in between loses none.
    pub(crate) fn chains_changed(&mut self, changes: &ChainChanges) -> Result<(), Error> {
        for user in &changes.users {
            self.memory.fresh.remove(user);
            self.memory.wanted.insert(*user);
        }
        self.memory.chain_mark = Some(changes.mark);
        self.memory.ask_for_changes = changes.more;
        if !changes.more {
            self.memory.behind_on = Some(self.memory.wanted.clone());
        }
        self.keep_chain_mark()
    }

    /// The server does not say: what can be done without is done.
    pub(crate) fn changes_refused(&mut self) {
        self.memory.behind_on = Some(BTreeSet::new());
    }

    pub(crate) fn keep_chain_mark(&mut self) -> Result<(), Error> {
        if self.memory.wanted.is_empty()
            && let Some(mark) = self.memory.chain_mark
            && mark > meta::number(self.db, meta::CHAIN_MARK)?
        {
            meta::set_number(self.db, meta::CHAIN_MARK, mark)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ALICE, Counter, alice, request};
    use vault::DeviceKey;
    use wire::request::{Done, SignedEntry};

    const NOW: UnixMillis = 1_000;

    /// Alice's chain: this device, another one, and that this one was revoked.
    fn chain_of_alice(client: &Client) -> Vec<SignedEntry> {
        let account = client.account().unwrap();
        let key = &account.account_key;
        let mut entries = vec![key.open_chain(account.tenant, ALICE, account.device, &account.device_key)];
        let (lost, lost_key) = (DeviceId::from_bytes([7; 16]), DeviceKey::generate(&mut Counter::at(5)));
        for (action, introduced) in [
            (Action::Add { device: lost, device_key: lost_key.public() }, Some(&lost_key)),
            (Action::Revoke { device: lost }, None),
        ] {
            let chain = trust::DeviceChain::verify(account.tenant, ALICE, &entries, None).unwrap();
            entries.push(key.continue_chain(&chain, action, introduced));
        }
        entries
    }

    #[test]
    fn b10_a_revocation_that_a_restored_server_has_lost_is_told_again() {
        let (_folder, mut client) = alice();
        let entries = chain_of_alice(&client);
        let told = |client: &mut Client, there| {
            client
                .turn(NOW, |turn| {
                    turn.pin(ALICE, "alice", &entries)?;
                    turn.memory.chain_len_there = Some(there);
                    turn.republish_revocation()
                })
                .unwrap();
        };
        told(&mut client, 3);
        assert_eq!(client.poll_transmit(), None, "nothing is missing");
        told(&mut client, 1);
        assert_eq!(client.poll_transmit(), None, "a device is not added like this");
        told(&mut client, 2);
        let (id, revoke) = request::<RevokeDevice>(&mut client);
        assert_eq!(revoke.entry, entries[2]);
        client.handle_frame(&wire::frame::answer(id, &Done {}), NOW).unwrap();
        assert_eq!(client.poll_transmit(), None);
    }
}
