//! People: their device chains, pinned at first sight, and what these say about an MLS leaf.

use crate::client::Client;
use crate::database::account::Account;
use crate::database::contact;
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{Error, Event};
use e2ee::Vouched;
use rusqlite::Connection;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use trust::{ChainError, DeviceChain, DevicePublicKey, DeviceState, LeafIdentity};
use wire::request::{Chain, FetchChain, FindUser, FoundUser, SignedEntry};
use wire::sabotage::{Defence, stands};
use wire::{DeviceId, Fault, Refusal, UnixMillis, UserId};

pub(crate) type Chains = RefCell<HashMap<UserId, Arc<DeviceChain>>>;

impl Client {
    /// Looks a person up; the answer is an event. Without a connection nothing happens; if it is lost before the answer, the
    /// next one asks again.
    ///
    /// # Errors
    /// [`Error::NotJoined`], [`Error::Database`].
    pub fn find_user(&mut self, handle: &str, now: UnixMillis) -> Result<(), Error> {
        self.account()?;
        if !self.is_live() {
            return Ok(());
        }
        self.turn(now, |turn| {
            turn.memory.lookups.insert(handle.to_owned());
            Ok(())
        })
    }
}

impl Turn<'_> {
    /// Asks for people whose handles somebody wants to know.
    pub(crate) fn find_users(&mut self) {
        for handle in self.memory.lookups.clone() {
            let work = Work::FindUser(handle.clone());
            if !self.memory.session.is_busy(&work, self.now) {
                self.request(work, &FindUser { handle });
            }
        }
    }

    pub(crate) fn found_user(&mut self, asked: &str, found: FoundUser) -> Result<(), Error> {
        self.memory.lookups.remove(asked);
        if self.pin(found.user, &found.handle, &found.entries)? {
            self.memory.fresh.insert(found.user);
            self.tell(Event::ContactFound { user: found.user, handle: found.handle });
        }
        Ok(())
    }

    pub(crate) fn user_refused(&mut self, handle: String, refusal: &Refusal) {
        self.memory.lookups.remove(&handle);
        let event = match refusal.code() {
            // Not found, or nothing that a person could be called.
            Some(code) if code.fault() == Fault::Caller => Event::ContactUnknown { handle },
            _ => Event::LookupRefused { handle, refusal: refusal.clone() },
        };
        self.tell(event);
    }

    /// Fetches chains that somebody asked for.
    pub(crate) fn fetch_chains(&mut self) -> Result<(), Error> {
        for user in self.memory.wanted.clone() {
            if !self.memory.session.is_busy(&Work::FetchChain(user), self.now) {
                let skip = u32::try_from(contact::chain(self.db, user)?.len()).unwrap_or(u32::MAX);
                self.request(Work::FetchChain(user), &FetchChain { user, skip });
            }
        }
        Ok(())
    }

    pub(crate) fn fetched_chain(&mut self, user: UserId, chain: Chain) -> Result<(), Error> {
        let known = contact::chain(self.db, user)?;
        self.pin(user, &chain.handle, &[known, chain.entries].concat())?;
        self.chain_is_fresh(user)
    }

    pub(crate) fn chain_refused(&mut self, user: UserId, refusal: &Refusal) -> Result<(), Error> {
        self.memory.behind_on.iter_mut().for_each(|users| {
            users.remove(&user);
        });
        if is_transient(refusal) {
            self.later(Work::FetchChain(user), refusal);
            return Ok(());
        }
        self.chain_is_fresh(user)
    }

    fn chain_is_fresh(&mut self, user: UserId) -> Result<(), Error> {
        self.memory.fresh.insert(user);
        self.memory.wanted.remove(&user);
        self.memory.behind_on.iter_mut().for_each(|users| {
            users.remove(&user);
        });
        self.keep_chain_mark()?;
        let waiting = std::mem::take(&mut self.memory.waiting);
        self.memory.attention.extend(waiting);
        Ok(())
    }

    /// Believes a chain if it verifies and continues the one that was seen before. Otherwise the old one stays, and the
    /// person is told. Says whether it was believed.
    pub(crate) fn pin(&mut self, user: UserId, handle: &str, entries: &[SignedEntry]) -> Result<bool, Error> {
        let account = self.account()?;
        let known = contact::chain(self.db, user)?;
        // A handle that was another person's would let the server put one in the other's place.
        let handle_moved = contact::find_by_handle(self.db, handle)?.is_some_and(|contact| contact.user != user);
        let continues = (entries.starts_with(&known) || !stands(Defence::ChainPinned))
            && (!handle_moved || !stands(Defence::HandlePinned));
        let checked = DeviceChain::verify(account.tenant, user, entries, account.authority.as_ref())
            .and_then(|chain| if continues { Ok(chain) } else { Err(ChainError::RolledBack) });
        match checked {
            Ok(chain) => {
                let before = self::chain(self.db, &self.memory.chains, &account, user)?;
                contact::save(self.db, user, handle)?;
                contact::extend_chain(self.db, user, known.len(), entries)?;
                let chain = Arc::new(chain);
                self.memory.chains.borrow_mut().insert(user, Arc::clone(&chain));
                before.map_or(Ok(()), |before| self.devices_changed(&before, &chain))?;
                Ok(true)
            }
            Err(reason) => {
                contact::refuse(self.db, user, &reason.to_string())?;
                self.tell(Event::ContactRefused { user, reason });
                Ok(false)
            }
        }
    }
}

impl Turn<'_> {
    /// Tells what is new about somebody's devices, and has those that are gone removed from the groups.
    fn devices_changed(&mut self, before: &DeviceChain, after: &DeviceChain) -> Result<(), Error> {
        let is_active = |chain: &DeviceChain, id| {
            chain.device(id).is_some_and(|device: &trust::chain::Device| device.state == DeviceState::Active)
        };
        let ids = || after.devices().map(|(id, _)| id);
        let added: Vec<DeviceId> = ids().filter(|id| before.device(*id).is_none() && is_active(after, *id)).collect();
        let removed: Vec<DeviceId> = ids().filter(|id| is_active(before, *id) && !is_active(after, *id)).collect();
        let closed = after.devices().any(|(_, device)| device.state == DeviceState::Closed);
        if added.is_empty() && removed.is_empty() {
            return Ok(());
        }
        let (user, fewer) = (after.user(), !removed.is_empty());
        if user == self.account()?.user {
            self.archive_at_once();
        }
        self.tell(Event::DevicesChanged { user, added, removed, closed });
        if fewer { self.sweep_everywhere(user) } else { Ok(()) }
    }
}

/// A person's chain as it is pinned.
pub(crate) fn chain(
    db: &Connection,
    chains: &Chains,
    account: &Account,
    user: UserId,
) -> Result<Option<Arc<DeviceChain>>, Error> {
    if let Some(chain) = chains.borrow().get(&user) {
        return Ok(Some(Arc::clone(chain)));
    }
    let entries = contact::chain(db, user)?;
    if entries.is_empty() {
        return Ok(None);
    }
    let chain = DeviceChain::verify(account.tenant, user, &entries, account.authority.as_ref())
        .map(Arc::new)
        .map_err(|_| Error::Database(crate::DatabaseError::Damaged))?;
    chains.borrow_mut().insert(user, Arc::clone(&chain));
    Ok(Some(chain))
}

/// What the pinned chains say about a leaf. A device that a chain does not have may have been added since: unless the chain
/// has just been fetched, that is not known.
pub(crate) fn vouch(
    db: &Connection,
    chains: &Chains,
    fresh: &HashSet<UserId>,
    account: &Account,
    leaf: &LeafIdentity,
    key: &DevicePublicKey,
) -> Result<Vouched, Error> {
    if leaf.tenant != account.tenant {
        return Ok(Vouched::No);
    }
    let unknown = if fresh.contains(&leaf.user) { Vouched::No } else { Vouched::Unknown };
    let Some(chain) = chain(db, chains, account, leaf.user)? else { return Ok(unknown) };
    Ok(match chain.device(leaf.device) {
        Some(device) if device.key != *key => Vouched::No,
        Some(device) if device.state == DeviceState::Active && fresh.contains(&leaf.user) => Vouched::Yes,
        Some(device) if device.state == DeviceState::Active => Vouched::Stale,
        Some(_) => Vouched::Gone,
        None => unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BOB, Chain, alice, live_in_conversation, reconnect, request};
    use wire::ErrorCode;

    const NOW: UnixMillis = 1_000;

    fn pin(client: &mut Client, user: UserId, handle: &str, entries: &[SignedEntry]) -> bool {
        client.turn(NOW, |turn| turn.pin(user, handle, entries)).unwrap()
    }

    fn refusals(client: &mut Client) -> Vec<ChainError> {
        let events = std::iter::from_fn(|| client.poll_event());
        events
            .filter_map(|event| if let Event::ContactRefused { reason, .. } = event { Some(reason) } else { None })
            .collect()
    }

    #[test]
    fn a4_a_chain_may_grow_but_not_shrink_fork_or_change_its_account() {
        let (_folder, mut client) = alice();
        let mut bob = Chain::new(BOB, 1_000);
        let short = bob.entries.clone();
        let long = bob.grown();
        let fork = bob.grown();
        assert!(pin(&mut client, BOB, "bob", &short));
        let first = client.contact("bob").unwrap().unwrap();
        assert!(pin(&mut client, BOB, "bob", &long));
        let grown = client.contact("bob").unwrap().unwrap();
        assert_eq!((first.devices.len(), grown.devices.len()), (1, 2));
        assert_eq!(refusals(&mut client), []);

        let other_account = Chain::new(BOB, 5_000).entries;
        for bad in [&short, &fork, &other_account] {
            assert!(!pin(&mut client, BOB, "bob", bad));
            assert_eq!(refusals(&mut client), [ChainError::RolledBack]);
            let shown = client.contact("bob").unwrap().unwrap();
            assert_eq!((&shown.devices, &shown.safety_number), (&grown.devices, &grown.safety_number));
            assert!(shown.refused.is_some(), "the person is told until it is resolved");
        }
        assert!(pin(&mut client, BOB, "bob", &long));
        assert_eq!(client.contact("bob").unwrap().unwrap().refused, None);
    }

    #[test]
    fn a_lookup_outlives_the_connection_that_it_was_asked_with() {
        let (_folder, mut client) = live_in_conversation();
        client.find_user("carol", NOW).unwrap();
        assert_eq!(request::<FindUser>(&mut client).1.handle, "carol");
        client.handle_disconnected(NOW + 1);
        reconnect(&mut client, NOW + 2);
        let (id, asked) = request::<FindUser>(&mut client);
        assert_eq!(asked.handle, "carol");
        client.handle_frame(&wire::frame::refused(id, &ErrorCode::NotFound.into()), NOW + 3).unwrap();
        let unknown = std::iter::from_fn(|| client.poll_event())
            .any(|event| matches!(event, Event::ContactUnknown { handle } if handle == "carol"));
        assert!(unknown);
        client.handle_disconnected(NOW + 4);
        reconnect(&mut client, NOW + 5);
        assert_eq!(client.poll_transmit(), None, "an answered lookup is over");
    }

    #[test]
    fn a4_a_handle_does_not_move_to_another_user() {
        let (_folder, mut client) = alice();
        let mallory = UserId::from_bytes([9; 16]);
        assert!(pin(&mut client, BOB, "bob", &Chain::new(BOB, 1_000).entries));
        assert!(!pin(&mut client, mallory, "Bob", &Chain::new(mallory, 5_000).entries));
        assert_eq!(client.contact("bob").unwrap().unwrap().user, BOB);
    }

    #[test]
    fn a4_a_chain_of_another_user_or_with_a_wrong_signature_is_not_pinned() {
        let (_folder, mut client) = alice();
        let mut forged = Chain::new(BOB, 1_000).entries;
        forged[0].signature[0] ^= 1;
        assert!(!pin(&mut client, BOB, "bob", &forged));
        assert!(!pin(&mut client, BOB, "bob", &Chain::new(UserId::from_bytes([8; 16]), 1_000).entries));
        assert!(!pin(&mut client, BOB, "bob", &[]));
        assert_eq!(client.contact("bob").unwrap(), None);
    }

    #[test]
    fn a1_a_leaf_is_vouched_for_by_its_users_chain_only() {
        let (_folder, mut client) = alice();
        let bob = Chain::new(BOB, 1_000);
        pin(&mut client, BOB, "bob", &bob.entries);
        let chain = DeviceChain::verify(crate::testing::TENANT, BOB, &bob.entries, None).unwrap();
        let (device, known) = chain.devices().next().map(|(id, device)| (id, device.key)).unwrap();
        let leaf = LeafIdentity { tenant: crate::testing::TENANT, user: BOB, device };
        let other_key = DevicePublicKey::from_bytes([7; 32]);
        let stranger = LeafIdentity { user: UserId::from_bytes([9; 16]), ..leaf };
        let new_device = LeafIdentity { device: DeviceId::from_bytes([9; 16]), ..leaf };
        let foreign = LeafIdentity { tenant: wire::TenantId::from_bytes([9; 16]), ..leaf };
        let cases = [
            (leaf, known, Vouched::Stale, Vouched::Yes),
            (leaf, other_key, Vouched::No, Vouched::No),
            (foreign, known, Vouched::No, Vouched::No),
            // Not known before the chain was fetched, and false after.
            (new_device, known, Vouched::Unknown, Vouched::No),
            (stranger, known, Vouched::Unknown, Vouched::No),
        ];
        client
            .turn(NOW, |turn| {
                let account = turn.account()?;
                let fresh = HashSet::from([BOB, stranger.user]);
                for (leaf, key, before, after) in cases {
                    let ask = |fresh| vouch(turn.db, &turn.memory.chains, fresh, &account, &leaf, &key);
                    assert_eq!((ask(&HashSet::new())?, ask(&fresh)?), (before, after), "{leaf:?}");
                }
                Ok(())
            })
            .unwrap();
    }
}
