//! From a bare connection to a device that has proved itself: greeting, redeeming an invite, login, and what there is.

use crate::contacts;
use crate::database::account::{self, Account};
use crate::database::conversation::{self, ConversationRow};
use crate::database::device::{self, DeviceNote};
use crate::database::{outbox, raw};
use crate::session::{Phase, Work};
use crate::turn::{Turn, identity, is_transient};
use crate::{ConversationState, Error, Event};
use e2ee::Suite;
use std::sync::Arc;
use trust::{AuthorityPublicKey, registry};
use vault::password::Registration;
use vault::{AccountKey, DeviceKey};
use wire::request::{
    Authenticate, Authenticated, Cursor, Greeting, Hello, JoinChallenge, JoinFinish, JoinStart, Sync, Synced,
};
use wire::sabotage::{Defence, stands};
use wire::{DeviceId, Refusal, UserId};
use zeroize::Zeroizing;

const PROTOCOL_VERSION: u16 = 1;

impl Turn<'_> {
    pub(crate) fn hello(&mut self) -> Result<(), Error> {
        let joined = self.memory.account.as_ref().map(|account| account.tenant_name.clone());
        let joining = self.memory.joining.as_ref().map(|joining| joining.tenant.clone());
        let linking = self.memory.linking.as_ref().map(|linking| linking.tenant.clone());
        let tenant = joined.or(joining).or(linking);
        let agent = concat!("mifeng/", env!("CARGO_PKG_VERSION")).into();
        let hello = Hello { version: PROTOCOL_VERSION, tenant: tenant.ok_or(Error::NotJoined)?, agent };
        self.memory.session.phase = Phase::Greeting;
        self.request(Work::Hello, &hello);
        Ok(())
    }

    pub(crate) fn greeted(&mut self, greeting: Greeting) -> Result<(), Error> {
        let (tenant, suite) = (greeting.tenant, greeting.suite);
        self.memory.session.greeting = Some(greeting);
        match self.memory.account.clone() {
            Some(account) if account.tenant != tenant => Err(Error::Protocol("the tenant is another one")),
            Some(account) if account.suite != suite => self.take_suite(&account, suite),
            account => self.go_on(account),
        }
    }

    fn go_on(&mut self, account: Option<Arc<Account>>) -> Result<(), Error> {
        match account {
            Some(account) if account.join_finish.is_some() => self.repeat_join(&account),
            Some(account) => self.authenticate(&account),
            None if self.memory.linking.is_some() => self.start_login(),
            None => self.start_join(),
        }
    }

    /// The tenant has another cipher suite. It only ever becomes stronger: a server that says otherwise is left.
    fn take_suite(&mut self, account: &Account, suite: u16) -> Result<(), Error> {
        if !registry::is_as_strong(suite, account.suite) && stands(Defence::SuiteOnlyStronger) {
            return Err(Error::Protocol("the tenant's cipher suite has become weaker"));
        }
        let account = Arc::new(Account { suite, join_finish: account.join_finish.clone(), ..copy(account) });
        account::save(self.db, &account)?;
        self.memory.account = Some(Arc::clone(&account));
        self.memory.settled.clear();
        self.forget_unpublished()?;
        self.go_on(Some(account))
    }

    fn start_join(&mut self) -> Result<(), Error> {
        let joining = self.memory.joining.as_mut().ok_or(Error::NotJoined)?;
        if let Some(upload) = joining.upload.clone() {
            self.memory.session.phase = Phase::Joining;
            return self.finish_join(upload, None);
        }
        let (registration, registration_request) = Registration::start(&joining.password, self.entropy)?;
        joining.registration = Some(registration);
        let (invite, handle) = (joining.code.to_string(), joining.handle.clone());
        self.memory.session.phase = Phase::Joining;
        self.request(Work::JoinStart, &JoinStart { invite, handle, registration_request });
        Ok(())
    }

    pub(crate) fn join_challenged(&mut self, challenge: &JoinChallenge) -> Result<(), Error> {
        let joining = self.memory.joining.as_mut().ok_or(Error::NotJoined)?;
        let registration = joining.registration.take().ok_or(Error::Protocol("an answer to another attempt"))?;
        let (registration_upload, _) =
            registration.finish(&joining.password, &challenge.registration_response, self.entropy)?;
        let authority = AuthorityPublicKey::from_bytes(challenge.authority_key);
        self.finish_join(registration_upload, Some(authority))
    }

    /// Makes the keys of the account and the device, and stores them with the request before it leaves: whatever happens
    /// from here on, this same request is repeated until its outcome is known.
    fn finish_join(
        &mut self,
        registration_upload: Vec<u8>,
        authority: Option<AuthorityPublicKey>,
    ) -> Result<(), Error> {
        let greeting = self.memory.session.greeting.clone().ok_or(Error::Protocol("no greeting"))?;
        let joining = self.memory.joining.as_ref().ok_or(Error::NotJoined)?;
        let suite =
            Suite::from_code(greeting.suite).ok_or(Error::Protocol("the server wants an unknown cipher suite"))?;
        let (user, device) = (UserId::from_bytes(self.entropy.array()), DeviceId::from_bytes(self.entropy.array()));
        let (account_key, device_key) = (AccountKey::generate(self.entropy), DeviceKey::generate(self.entropy));
        let finish = JoinFinish {
            invite: joining.code.to_string(),
            handle: joining.handle.clone(),
            registration_upload,
            chain_entry: account_key.open_chain(greeting.tenant, user, device, &device_key),
        };
        let account = Account {
            tenant: greeting.tenant,
            tenant_name: joining.tenant.clone(),
            user,
            device,
            handle: joining.handle.clone(),
            account_key,
            device_key,
            join_finish: Some(Zeroizing::new(wire::encode(&finish))),
            suite: suite.code(),
            authority,
        };
        account::save(self.db, &account)?;
        self.memory.account = Some(Arc::new(account));
        self.request(Work::JoinFinish, &finish);
        Ok(())
    }

    fn repeat_join(&mut self, account: &Account) -> Result<(), Error> {
        let finish = account.join_finish.as_deref().ok_or(Error::AlreadyJoined)?;
        let finish: JoinFinish = wire::decode(finish).map_err(|_| Error::Database(crate::DatabaseError::Damaged))?;
        self.memory.session.phase = Phase::Joining;
        self.request(Work::JoinFinish, &finish);
        Ok(())
    }

    pub(crate) fn joined(&mut self) -> Result<(), Error> {
        let account = self.account()?;
        let finish = account.join_finish.as_deref().ok_or(Error::Protocol("joined twice"))?;
        let finish: JoinFinish = wire::decode(finish).map_err(|_| Error::Database(crate::DatabaseError::Damaged))?;
        let account = Arc::new(Account { join_finish: None, ..copy(&account) });
        account::save(self.db, &account)?;
        self.memory.joining = None;
        self.memory.account = Some(Arc::clone(&account));
        self.pin(account.user, &account.handle, &[finish.chain_entry])?;
        device::save_note(self.db, account.device, &DeviceNote { name: None, since: Some(self.now) })?;
        self.tell(Event::Joined { user: account.user, handle: account.handle.clone() });
        self.authenticate(&account)
    }

    pub(crate) fn join_refused(&mut self, refusal: &Refusal) -> Result<(), Error> {
        if !is_transient(refusal) {
            account::forget(self.db)?;
            self.memory.account = None;
            self.memory.joining = None;
            self.tell(Event::JoinRefused(refusal.clone()));
        }
        self.memory.session.phase = Phase::Closing;
        Ok(())
    }

    fn authenticate(&mut self, account: &Account) -> Result<(), Error> {
        let greeting = self.memory.session.greeting.as_ref().ok_or(Error::Protocol("no greeting"))?;
        let signature = account.device_key.sign_login(&greeting.challenge, account.tenant, account.device);
        self.memory.session.phase = Phase::Authenticating;
        self.request(Work::Authenticate, &Authenticate { device: account.device, signature });
        Ok(())
    }

    pub(crate) fn authenticated(&mut self, authenticated: Authenticated) -> Result<(), Error> {
        let account = self.account()?;
        if authenticated.user != account.user {
            return Err(Error::Protocol("the server takes this device for another user's"));
        }
        let known = contacts::chain(self.db, &self.memory.chains, &account, account.user)?;
        if known.is_none_or(|chain| chain.head().len != authenticated.chain_len) {
            self.memory.wanted.insert(account.user);
        }
        self.memory.chain_len_there = Some(authenticated.chain_len);
        self.memory.session.phase = Phase::Syncing;
        self.request(Work::Sync, &Sync {});
        Ok(())
    }

    pub(crate) fn login_refused(&mut self, refusal: &Refusal) -> Result<(), Error> {
        if self.memory.account.is_none() && self.memory.linking.is_some() {
            return self.link_refused(refusal);
        }
        if self.memory.account.is_none() {
            return self.join_refused(refusal);
        }
        if !is_transient(refusal) {
            self.tell(Event::LoginRefused(refusal.clone()));
        }
        self.memory.session.phase = Phase::Closing;
        Ok(())
    }

    pub(crate) fn synced(&mut self, synced: Synced) -> Result<(), Error> {
        self.memory.session.phase = Phase::Live;
        self.memory.session.succeeded();
        self.memory.held = Some(synced.key_packages);
        self.memory.ask_for_welcomes = synced.welcomes > 0;
        self.memory.ask_for_joinable = true;
        self.memory.ask_for_changes = true;
        self.memory.heads = synced.heads.into_iter().map(|head| (head.conversation, head)).collect();
        self.memory.attention.extend(outbox::conversations(self.db)?);
        self.memory.unknown = self.memory.heads.keys().copied().collect();
        for row in conversation::all(self.db)? {
            self.memory.unknown.remove(&row.id);
            self.memory.attention.insert(row.id);
            self.watch_renewal(&row);
            self.watch_sweep(&row);
            self.look_for_removal(&row);
            self.come_back(&row)?;
            if row.cursor > row.acknowledged {
                self.memory.unacknowledged.insert(row.id);
            }
        }
        self.republish_revocation()?;
        raw::forget_old(self.db, self.now)?;
        self.tell(Event::Live);
        self.forget_key_packages()
    }

    /// The server names the logs of which this device is a member: one that it follows and that is not there has an end.
    fn look_for_removal(&mut self, row: &ConversationRow) {
        use ConversationState::{Active, Leaving, Repairing};
        if matches!(row.state, Active | Repairing | Leaving) && !self.memory.heads.contains_key(&row.id) {
            self.notice_head(Cursor { conversation: row.id, generation: row.generation, seq: row.cursor + 1 });
        }
    }
}

/// Keys are not `Clone`, so that no copy is made unseen; this one replaces what it was made from.
fn copy(account: &Account) -> Account {
    debug_assert!(identity(account).user == account.user);
    Account {
        tenant: account.tenant,
        tenant_name: account.tenant_name.clone(),
        user: account.user,
        device: account.device,
        handle: account.handle.clone(),
        account_key: AccountKey::from_sealed_storage(&account.account_key.to_sealed_storage()),
        device_key: DeviceKey::from_sealed_storage(&account.device_key.to_sealed_storage()),
        join_finish: None,
        suite: account.suite,
        authority: account.authority,
    }
}
