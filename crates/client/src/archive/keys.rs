//! The archive's keys. All devices of the person have them: a new one gets them with its link. When a device is removed,
//! nothing more is sealed under a key that it has.

use super::ArchiveWork;
use crate::database::{archive, meta};
use crate::session::Work;
use crate::turn::Turn;
use crate::{Error, contacts};
use trust::DeviceState;
use vault::{ArchiveKey, ArchiveOwner, DayKey};
use wire::Refusal;
use wire::request::{ArchiveDay, ArchiveDays, FetchArchiveDays, OpenArchiveDay, RewrapArchiveDays};

/// Up to this version of the archive key, all days are sealed under the newest.
const REWRAPPED: &str = "archive rewrapped";

impl Turn<'_> {
    /// How many of the person's devices speak for them, and how many do no more. `None` before their chain is known.
    pub(super) fn own_device_counts(&self) -> Result<Option<(u32, u32)>, Error> {
        let account = self.account()?;
        let chain = contacts::chain(self.db, &self.memory.chains, &account, account.user)?;
        let count = |(active, removed), state| match state {
            DeviceState::Active => (active + 1, removed),
            _ => (active, removed + 1),
        };
        Ok(chain.map(|chain| chain.devices().map(|(_, device)| device.state).fold((0, 0), count)))
    }

    pub(super) fn archive_owner(&self) -> Result<ArchiveOwner, Error> {
        let account = self.account()?;
        Ok(ArchiveOwner { tenant: account.tenant, user: account.user })
    }

    /// The key that new segments are sealed under. `None` while the newest is known to a device that is gone, and another
    /// device of the person has to be told of a newer one.
    pub(crate) fn archive_key(&mut self) -> Result<Option<ArchiveKey>, Error> {
        let Some((active, removed)) = self.own_device_counts()? else { return Ok(None) };
        let keys = archive::keys(self.db)?;
        let version = keys.last().map_or(0, ArchiveKey::version).saturating_add(1);
        if let Some(key) = keys.into_iter().rfind(|key| key.removed() == removed) {
            return Ok(Some(key));
        }
        if active != 1 {
            return Ok(None);
        }
        let key = ArchiveKey::generate(version, removed, self.entropy);
        archive::save_key(self.db, &key)?;
        if version == 1 {
            meta::set_number(self.db, REWRAPPED, 1)?;
        }
        Ok(Some(key))
    }

    /// Keys that came with the link.
    pub(crate) fn take_archive_keys(&self, keys: &[ArchiveKey]) -> Result<(), Error> {
        keys.iter().try_for_each(|key| archive::save_key(self.db, key))?;
        let newest = keys.last().map_or(0, ArchiveKey::version);
        Ok(meta::set_number(self.db, REWRAPPED, newest.into())?)
    }

    /// Begins a day.
    pub(super) fn open_day(&mut self, key: &ArchiveKey, day: u32) -> Result<(), Error> {
        let owner = self.archive_owner()?;
        let wrapped = key.seal_day(owner, day, &DayKey::generate(self.entropy), self.entropy);
        let day = ArchiveDay { day, version: key.version(), wrapped };
        self.memory.archive.busy = true;
        self.request(Work::Archive(ArchiveWork::OpenDay(day.day)), &OpenArchiveDay { day });
        Ok(())
    }

    /// The day is begun, by this device or another. What the server says is believed if it opens.
    pub(crate) fn opened_day(&mut self, asked: u32, day: &ArchiveDay) -> Result<(), Error> {
        self.memory.archive.busy = false;
        match self.day_key(day)?.filter(|_| day.day == asked) {
            Some(key) => archive::save_day(self.db, asked, &key)?,
            None => self.archive_later(super::AGAIN_MS),
        }
        Ok(())
    }

    /// The key of a day, if it opens with a key that is here.
    pub(super) fn day_key(&self, day: &ArchiveDay) -> Result<Option<DayKey>, Error> {
        let owner = self.archive_owner()?;
        let keys = archive::keys(self.db)?;
        let mut keys = keys.iter().filter(|key| key.version() == day.version);
        Ok(keys.find_map(|key| key.open_day(owner, day.day, &day.wrapped).ok()))
    }

    /// Seals the keys of all days anew, if the archive key is newer than they are. Whether there was something to do.
    pub(super) fn rewrap_days(&mut self, key: &ArchiveKey) -> Result<bool, Error> {
        if meta::number(self.db, REWRAPPED)? >= key.version().into() {
            return Ok(false);
        }
        self.memory.archive.busy = true;
        let after = self.memory.archive.rewrapped;
        self.request(Work::Archive(ArchiveWork::Days), &FetchArchiveDays { after });
        Ok(true)
    }

    pub(crate) fn fetched_days(&mut self, fetched: &ArchiveDays) -> Result<(), Error> {
        self.memory.archive.busy = false;
        let owner = self.archive_owner()?;
        let Some(newest) = archive::keys(self.db)?.pop() else { return Ok(()) };
        let mut days = Vec::new();
        for day in fetched.days.iter().filter(|day| day.version < newest.version()) {
            if let Some(key) = self.day_key(day)? {
                let wrapped = newest.seal_day(owner, day.day, &key, self.entropy);
                days.push(ArchiveDay { day: day.day, version: newest.version(), wrapped });
            }
        }
        let last = fetched.days.last().map(|day| day.day);
        if !days.is_empty() {
            self.memory.archive.busy = true;
            self.request(Work::Archive(ArchiveWork::RewrapDays(last, fetched.more)), &RewrapArchiveDays { days });
            return Ok(());
        }
        self.rewrapped_days(last, fetched.more)
    }

    pub(crate) fn rewrapped_days(&mut self, last: Option<u32>, more: bool) -> Result<(), Error> {
        self.memory.archive.busy = false;
        self.memory.archive.rewrapped = last.filter(|_| more);
        if !more && let Some(newest) = archive::keys(self.db)?.pop() {
            meta::set_number(self.db, REWRAPPED, newest.version().into())?;
        }
        Ok(())
    }

    pub(crate) fn days_refused(&mut self, refusal: &Refusal) {
        self.memory.archive.rewrapped = None;
        self.archive_refused(refusal);
    }
}
