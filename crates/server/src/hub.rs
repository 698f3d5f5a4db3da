//! Which devices are online here, and their queues. One connection per device: a newer one takes the older one's place.

use crate::{
    gateway::queue::{Closed, Queue},
    wakes::Wakes,
};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use wire::{DeviceId, Event, TenantId};

/// Every queue of an authenticated device.
#[derive(Default)]
pub struct Hub {
    online: RwLock<HashMap<(TenantId, DeviceId), Arc<Queue>>>,
    /// Devices that were revoked since the process began: one that was just logging in does not slip in behind it.
    barred: RwLock<HashSet<(TenantId, DeviceId)>>,
    wakes: Arc<Wakes>,
}

impl Hub {
    /// A device has authenticated. An older connection of it is closed.
    pub fn connect(&self, tenant: TenantId, device: DeviceId, queue: Arc<Queue>) {
        if let Some(older) = self.write().insert((tenant, device), queue) {
            older.close(Closed::Displaced);
        }
        if self.barred.read().unwrap_or_else(PoisonError::into_inner).contains(&(tenant, device)) {
            self.close(tenant, device, Closed::Revoked);
        }
    }

    /// Ends the connection of a device that was revoked, durably, and every one that it may still get by a login that was
    /// under way.
    pub fn bar(&self, tenant: TenantId, device: DeviceId) {
        self.barred.write().unwrap_or_else(PoisonError::into_inner).insert((tenant, device));
        self.close(tenant, device, Closed::Revoked);
    }

    /// A connection has ended; a newer one of the same device stays.
    pub fn disconnect(&self, tenant: TenantId, device: DeviceId, queue: &Arc<Queue>) {
        let mut online = self.write();
        if online.get(&(tenant, device)).is_some_and(|current| Arc::ptr_eq(current, queue)) {
            online.remove(&(tenant, device));
        }
    }

    /// Ends a device's connection.
    pub fn close(&self, tenant: TenantId, device: DeviceId, reason: Closed) {
        if let Some(queue) = self.write().remove(&(tenant, device)) {
            queue.close(reason);
        }
    }

    /// Ends every connection of a tenant.
    pub fn close_tenant(&self, tenant: TenantId, reason: Closed) {
        self.write().retain(|key, queue| {
            if key.0 == tenant {
                queue.close(reason);
            }
            key.0 != tenant
        });
    }

    /// Queues the same bytes for each of the devices that is online, except for one. Returns for how many.
    pub fn fan_out<'d>(
        &self,
        tenant: TenantId,
        devices: impl IntoIterator<Item = &'d DeviceId>,
        except: Option<DeviceId>,
        frame: &Bytes,
    ) -> usize {
        self.each(tenant, devices, except, |queue| queue.push(frame.clone()))
    }

    /// As [`Hub::fan_out`], while a batch of the store is told: writers are woken at its end.
    pub fn fan_out_in_batch<'d>(
        &self,
        tenant: TenantId,
        devices: impl IntoIterator<Item = &'d DeviceId>,
        except: Option<DeviceId>,
        frame: &Bytes,
    ) -> usize {
        self.each(tenant, devices, except, |queue| self.push_in_batch(queue, frame.clone()))
    }

    /// Queues a frame while a batch of the store is told.
    pub fn push_in_batch(&self, queue: &Arc<Queue>, frame: Bytes) {
        if queue.put(frame) {
            self.wakes.note(queue);
        }
    }

    fn each<'d>(
        &self,
        tenant: TenantId,
        devices: impl IntoIterator<Item = &'d DeviceId>,
        except: Option<DeviceId>,
        push: impl Fn(&Arc<Queue>),
    ) -> usize {
        let online = self.read();
        let devices = devices.into_iter().filter(|device| except != Some(**device));
        devices.filter_map(|device| online.get(&(tenant, *device))).map(push).count()
    }

    /// Whose writers are to be woken at the end of a batch.
    pub const fn wakes(&self) -> &Arc<Wakes> {
        &self.wakes
    }

    /// How many devices are online.
    pub fn online(&self) -> usize {
        self.read().len()
    }

    /// Tells every device that the server is about to stop.
    pub fn announce_drain(&self) {
        let frame = Bytes::from(wire::frame::event(&Event::Draining));
        self.read().values().for_each(|queue| queue.push(frame.clone()));
    }

    /// Ends every connection after what waits for it was written.
    pub fn close_all(&self, reason: Closed) {
        self.write().drain().for_each(|(_, queue)| queue.close(reason));
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<(TenantId, DeviceId), Arc<Queue>>> {
        self.online.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<(TenantId, DeviceId), Arc<Queue>>> {
        self.online.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::queue::Waiting;

    fn device(byte: u8) -> DeviceId {
        DeviceId::from_bytes([byte; 16])
    }

    fn waits(queue: &Queue) -> usize {
        match queue.take() {
            Some(Waiting::Frames(frames)) => frames.len(),
            _ => 0,
        }
    }

    #[test]
    fn b15_an_event_stays_in_its_tenant_and_away_from_its_sender() {
        let hub = Hub::default();
        let (ours, theirs) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        let [a, b, c] = [(); 3].map(|()| Arc::new(Queue::new(9, 99)));
        hub.connect(ours, device(1), Arc::clone(&a));
        hub.connect(ours, device(2), Arc::clone(&b));
        hub.connect(theirs, device(2), Arc::clone(&c));
        hub.fan_out(ours, &[device(1), device(2), device(3)], Some(device(1)), &Bytes::from_static(b"x"));
        assert_eq!([waits(&a), waits(&b), waits(&c)], [0, 1, 0]);
    }

    #[test]
    fn b10_a_revoked_device_is_out_whether_it_was_in_or_coming_in() {
        let hub = Hub::default();
        let tenant = TenantId::from_bytes([1; 16]);
        let [early, late, other] = [(); 3].map(|()| Arc::new(Queue::new(9, 99)));
        hub.connect(tenant, device(1), Arc::clone(&early));
        hub.connect(tenant, device(2), Arc::clone(&other));
        hub.bar(tenant, device(1));
        hub.connect(tenant, device(1), Arc::clone(&late));
        assert_eq!([early.closed(), late.closed()], [Some(Closed::Revoked); 2]);
        assert_eq!((other.closed(), hub.online()), (None, 1), "the control");
    }

    #[test]
    fn a_newer_connection_displaces_the_older_and_survives_its_end() {
        let hub = Hub::default();
        let tenant = TenantId::from_bytes([1; 16]);
        let [old, new] = [(); 2].map(|()| Arc::new(Queue::new(9, 99)));
        hub.connect(tenant, device(1), Arc::clone(&old));
        hub.connect(tenant, device(1), Arc::clone(&new));
        assert_eq!(old.closed(), Some(Closed::Displaced));
        hub.disconnect(tenant, device(1), &old);
        assert_eq!(hub.online(), 1);
        hub.disconnect(tenant, device(1), &new);
        assert_eq!(hub.online(), 0);
    }
}
