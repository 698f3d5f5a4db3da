//! Key packages: enough of them on the server, never an old last resort, and no private key longer than it is of use.

use crate::Error;
use crate::database::key_package;
use crate::session::Work;
use crate::turn::Turn;
use e2ee::{KeyPackageUse, Suite};
use minicbor::bytes::ByteVec;
use trust::registry::{KEY_PACKAGE_AFTER_S, KEY_PACKAGE_HAND_OUT_S};
use wire::request::{KeyPackagesHeld, PublishKeyPackages};

/// One-time key packages that the server should hold; below half of them new ones are made.
const KEY_PACKAGES: u32 = 50;
const DAY_MS: u64 = 24 * 3_600_000;
/// The server hands a last resort out for so long. It is replaced well before, and its private key is kept as long again,
/// for the Welcomes that are on their way.
const HAND_OUT_MS: u64 = KEY_PACKAGE_HAND_OUT_S * 1_000;
const REPLACE_AFTER_MS: u64 = HAND_OUT_MS * 2 / 3;
/// Past its lifetime nobody can use it.
const DEAD_AFTER_MS: u64 = KEY_PACKAGE_AFTER_S * 1_000 + DAY_MS;

impl Turn<'_> {
    /// Publishes key packages when the server has few, and a new last resort when there is none, or it was used, or is old.
    pub(crate) fn publish(&mut self) -> Result<(), Error> {
        let Some(held) = self.memory.held.clone() else { return Ok(()) };
        let waiting = key_package::waiting(self.db)?;
        if waiting.last().is_some_and(|row| self.memory.session.is_busy(&Work::Publish(row.id), self.now)) {
            return Ok(());
        }
        let one_time = waiting.iter().filter(|row| !row.last_resort).count();
        let missing = if held.one_time < KEY_PACKAGES / 2 { KEY_PACKAGES - held.one_time } else { 0 };
        for _ in one_time..missing as usize {
            self.make_key_package(KeyPackageUse::Once)?;
        }
        let made_at = key_package::last_resort_made_at(self.db)?;
        let is_old = made_at.is_none_or(|at| self.now > at.saturating_add(REPLACE_AFTER_MS));
        if (held.last_resort_used || is_old) && waiting.iter().all(|row| !row.last_resort) {
            self.make_key_package(KeyPackageUse::LastResort)?;
        }
        self.send_key_packages()
    }

    fn send_key_packages(&mut self) -> Result<(), Error> {
        let waiting = key_package::waiting(self.db)?;
        let Some(last) = waiting.last().map(|row| row.id) else { return Ok(()) };
        let (last_resort, one_time): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|row| row.last_resort);
        let one_time = one_time.into_iter().map(|row| ByteVec::from(row.bytes)).collect();
        let last_resort = last_resort.into_iter().next_back().map(|row| ByteVec::from(row.bytes));
        self.request(Work::Publish(last), &PublishKeyPackages { one_time, last_resort });
        Ok(())
    }

    fn make_key_package(&mut self, usage: KeyPackageUse) -> Result<(), Error> {
        let suite = Suite::from_code(self.account()?.suite).ok_or(Error::Protocol("unknown cipher suite"))?;
        let now = self.now;
        let (bytes, reference) = self.act(|device, _| {
            let new = device.key_package(suite, usage, now)?;
            Ok(((new.bytes, new.reference), new.writes))
        })??;
        let last_resort = usage == KeyPackageUse::LastResort;
        Ok(key_package::insert(self.db, last_resort, self.now, &reference, &bytes)?)
    }

    pub(crate) fn published(&mut self, row: i64, held: KeyPackagesHeld) -> Result<(), Error> {
        key_package::set_published(self.db, row)?;
        // What the server holds after a full refill is enough, even if it counts otherwise: no endless publishing.
        self.memory.held =
            Some(KeyPackagesHeld { one_time: held.one_time.max(KEY_PACKAGES / 2), last_resort_used: false });
        Ok(())
    }

    /// Forgets the packages that the server has not got: they are of a suite that it does not want any more.
    pub(crate) fn forget_unpublished(&mut self) -> Result<(), Error> {
        for (id, reference) in key_package::unpublished(self.db)? {
            self.act(|device, _| device.forget_key_package(&reference).map(|writes| ((), writes)))??;
            key_package::delete(self.db, id)?;
        }
        Ok(())
    }

    /// Forgets the private keys of packages that nobody can use any more.
    pub(crate) fn forget_key_packages(&mut self) -> Result<(), Error> {
        let (dead, replaced) = (self.now.saturating_sub(DEAD_AFTER_MS), self.now.saturating_sub(2 * HAND_OUT_MS));
        for (id, reference) in key_package::stale(self.db, dead, replaced)? {
            self.act(|device, _| device.forget_key_package(&reference).map(|writes| ((), writes)))??;
            key_package::delete(self.db, id)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::testing::alice;
    use wire::frame::read_request;

    const START: u64 = 1_800_000_000_000;

    /// What a login at this time publishes: one-time packages and whether there is a last resort. Then the server has it.
    fn login(client: &mut Client, now: u64, held: KeyPackagesHeld) -> Option<(usize, bool)> {
        client
            .turn(now, |turn| {
                turn.memory.held = Some(held);
                turn.forget_key_packages()?;
                turn.publish()?;
                let sent = turn.transmit.pop().map(|frame| {
                    let publish: PublishKeyPackages = wire::decode(read_request(&frame).unwrap().body).unwrap();
                    (publish.one_time.len(), publish.last_resort.is_some())
                });
                let last = key_package::waiting(turn.db)?.last().map(|row| row.id);
                turn.published(last.unwrap_or(0), KeyPackagesHeld { one_time: 50, last_resort_used: false })?;
                turn.memory.session = crate::session::Session::new();
                Ok(sent)
            })
            .unwrap()
    }

    fn secrets(client: &Client) -> u32 {
        client.reader().query_row("SELECT count(*) FROM mls_entry", [], |row| row.get(0)).unwrap()
    }

    fn holds(one_time: u32, last_resort_used: bool) -> KeyPackagesHeld {
        KeyPackagesHeld { one_time, last_resort_used }
    }

    #[test]
    fn the_server_is_refilled_below_half() {
        let (_folder, mut client) = alice();
        assert_eq!(login(&mut client, START, holds(0, false)), Some((50, true)));
        assert_eq!(login(&mut client, START + 1, holds(25, false)), None);
        assert_eq!(login(&mut client, START + 2, holds(24, false)), Some((26, false)));
    }

    #[test]
    fn a8_a_used_or_old_last_resort_is_replaced() {
        let (_folder, mut client) = alice();
        login(&mut client, START, holds(0, false));
        assert_eq!(login(&mut client, START + DAY_MS, holds(50, true)), Some((0, true)));
        assert_eq!(login(&mut client, START + 20 * DAY_MS, holds(50, false)), None);
        assert_eq!(login(&mut client, START + 22 * DAY_MS, holds(50, false)), Some((0, true)));
    }

    #[test]
    fn a17_private_keys_of_packages_are_forgotten() {
        let (_folder, mut client) = alice();
        login(&mut client, START, holds(0, false));
        let full = secrets(&client);
        login(&mut client, START + 22 * DAY_MS, holds(50, false));
        assert_eq!(secrets(&client), full + full / 51, "the replaced one is kept for what is on its way");
        login(&mut client, START + 61 * DAY_MS, holds(50, false));
        login(&mut client, START + 83 * DAY_MS, holds(50, false));
        assert_eq!(secrets(&client), full + full / 51, "one was made, one forgotten");
        login(&mut client, START + 300 * DAY_MS, holds(50, false));
        assert_eq!(secrets(&client), full / 51, "only the new last resort is left");
    }
}
