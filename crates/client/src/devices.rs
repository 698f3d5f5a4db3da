//! The person's own devices: which there are, and revoking one. What others learn of it is in [`crate::contacts`], what is
//! done about it in [`crate::sweep`].

use crate::client::Client;
use crate::contacts;
use crate::database::device::{self, DeviceNote};
use crate::database::meta;
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{Error, Event};
use std::collections::BTreeSet;
use trust::{Action, DeviceState};
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
