//! Token buckets of everyone who is around, in memory: per source address, per device, per tenant.

use crate::{config::Limits, listen};
use rules::{
    lookup::Quota,
    rate::{Bucket, Empty, Limit},
    route::RateClass,
};
use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};
use wire::{DeviceId, TenantId, UnixMillis};

/// When this many callers are remembered, those whose buckets are full again are forgotten.
const PRUNE_AT: usize = 4_096;

/// All buckets.
pub struct Rates {
    session: Keyed<IpAddr>,
    devices: Mutex<HashMap<(TenantId, DeviceId), Arc<DeviceRates>>>,
    tenants: Keyed<TenantId>,
    limits: [Limit; 3],
    lookups: Quota,
}

/// The buckets of one device; they outlive its connections, so that connecting again fills nothing.
pub struct DeviceRates {
    buckets: Mutex<[Bucket; 3]>,
    limits: [Limit; 3],
    /// People that may be looked up; the store counts.
    pub lookups: Quota,
}

struct Keyed<K> {
    limit: Limit,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl Rates {
    /// Buckets of the sizes configured.
    pub fn new(limits: &Limits) -> Self {
        Self {
            session: Keyed::new(limits.session_rate.into()),
            devices: Mutex::default(),
            tenants: Keyed::new(limits.tenant_rate.into()),
            limits: [limits.control_rate.into(), limits.message_rate.into(), limits.read_rate.into()],
            lookups: Quota { user: limits.lookups_per_user, tenant: limits.lookups_per_tenant },
        }
    }

    /// Pays for what a connection asks before its device has authenticated.
    ///
    /// # Errors
    /// [`Empty`].
    pub fn session(&self, address: IpAddr, now: UnixMillis) -> Result<(), Empty> {
        self.session.take(listen::source(address), now)
    }

    /// The buckets of a device.
    pub fn device(&self, tenant: TenantId, device: DeviceId, now: UnixMillis) -> Arc<DeviceRates> {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        if devices.len() >= PRUNE_AT {
            devices.retain(|_, rates| Arc::strong_count(rates) > 1 || !rates.is_full(now));
        }
        let fresh = || DeviceRates {
            buckets: Mutex::new(self.limits.map(|limit| Bucket::full(limit, now))),
            limits: self.limits,
            lookups: self.lookups,
        };
        Arc::clone(devices.entry((tenant, device)).or_insert_with(|| Arc::new(fresh())))
    }

    /// Pays for a request of a device: from its own bucket, then from its tenant's.
    ///
    /// # Errors
    /// [`Empty`].
    pub fn request(
        &self,
        tenant: TenantId,
        device: &DeviceRates,
        class: RateClass,
        now: UnixMillis,
    ) -> Result<(), Empty> {
        device.take(class, now)?;
        self.tenants.take(tenant, now)
    }
}

impl DeviceRates {
    fn take(&self, class: RateClass, now: UnixMillis) -> Result<(), Empty> {
        let index = match class {
            RateClass::Session | RateClass::Control => 0,
            RateClass::Message => 1,
            RateClass::Read => 2,
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        match (buckets.get_mut(index), self.limits.get(index)) {
            (Some(bucket), Some(limit)) => bucket.take(*limit, now),
            _ => Err(Empty { retry_after_ms: u32::MAX }),
        }
    }

    fn is_full(&self, now: UnixMillis) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.iter_mut().zip(self.limits).all(|(bucket, limit)| bucket.is_full(limit, now))
    }
}

impl<K: Eq + Hash> Keyed<K> {
    fn new(limit: Limit) -> Self {
        Self { limit, buckets: Mutex::default() }
    }

    fn take(&self, key: K, now: UnixMillis) -> Result<(), Empty> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= PRUNE_AT && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.is_full(self.limit, now));
        }
        buckets.entry(key).or_insert_with(|| Bucket::full(self.limit, now)).take(self.limit, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    fn rates(burst: u32) -> Rates {
        let rate = Rate { burst, per_second: 1 };
        Rates::new(&Limits {
            session_rate: rate,
            control_rate: rate,
            message_rate: rate,
            read_rate: rate,
            ..Limits::default()
        })
    }

    #[test]
    fn connecting_again_fills_nothing() {
        let (rates, tenant, device) = (rates(2), TenantId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        let take = || rates.request(tenant, &rates.device(tenant, device, 1_000), RateClass::Message, 1_000);
        assert!(take().is_ok() && take().is_ok() && take().is_err());
        assert!(rates.request(tenant, &rates.device(tenant, device, 1_000), RateClass::Read, 1_000).is_ok());
    }

    #[test]
    fn one_source_is_one_bucket() {
        let rates = rates(1);
        assert!(rates.session("::ffff:10.0.0.1".parse().unwrap(), 1_000).is_ok());
        assert!(rates.session("10.0.0.1".parse().unwrap(), 1_000).is_err());
        assert!(rates.session("10.0.0.2".parse().unwrap(), 1_000).is_ok());
    }
}
