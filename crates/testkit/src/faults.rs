//! What goes wrong, carried out. Each says whether it had any effect: a fault that hits nothing does not count.

use crate::decision::Fault;
use crate::device::{Device, Link};
use crate::server::Server;
use crate::world::World;
use std::collections::VecDeque;

/// Lets a fault happen.
pub(crate) fn strike(world: &mut World, fault: Fault) -> bool {
    match fault {
        Fault::Cut(device) => is_linked(world, device) && cut(world, device),
        Fault::HalfOpen(device) => half_open(world, device),
        Fault::LoseUp(device) => with_link(world, device, |link| link.up.pop_front().is_some()),
        Fault::LoseDown(device) => with_link(world, device, |link| link.down.pop_front().is_some()),
        Fault::RepeatUp(device) => with_link(world, device, |link| repeat(&mut link.up)),
        Fault::RepeatDown(device) => with_link(world, device, |link| repeat(&mut link.down)),
        Fault::SwapUp(device) => with_link(world, device, |link| swap(&mut link.up)),
        Fault::SwapDown(device) => with_link(world, device, |link| swap(&mut link.down)),
        Fault::Crash(device) => is_on(world, device) && crash(world, device),
        Fault::CrashBefore(device) => {
            with_link(world, device, |link| link.down.pop_front().is_some()) && crash(world, device)
        }
        Fault::CrashAfter(device) => crash_after(world, device),
        Fault::CrashServer => crash_server(world),
        Fault::CrashServerAfter(device) => crash_server_after(world, device),
        Fault::Restore(device) => restore(world, device),
        Fault::RestoreServer => restore_server(world),
        Fault::Prune => prune(world),
        Fault::Skew(device, ms) => match world.devices.get_mut(device) {
            Some(device) => {
                device.skew_ms = ms.into();
                true
            }
            None => false,
        },
    }
}

fn cut(world: &mut World, device: usize) -> bool {
    world.disconnect(device);
    true
}

fn is_linked(world: &World, device: usize) -> bool {
    world.devices.get(device).is_some_and(|device| device.link.is_some())
}

fn is_on(world: &World, device: usize) -> bool {
    world.devices.get(device).is_some_and(|device| device.client.is_some())
}

fn with_link(world: &mut World, device: usize, hit: impl FnOnce(&mut Link) -> bool) -> bool {
    world.devices.get_mut(device).and_then(|device| device.link.as_mut()).is_some_and(hit)
}

fn repeat(frames: &mut VecDeque<Vec<u8>>) -> bool {
    let first = frames.front().cloned();
    let fired = first.is_some();
    frames.extend(first);
    frames.rotate_right(usize::from(fired));
    fired
}

fn swap(frames: &mut VecDeque<Vec<u8>>) -> bool {
    let fired = frames.len() >= 2;
    if fired {
        frames.swap(0, 1);
    }
    fired
}

fn half_open(world: &mut World, device: usize) -> bool {
    let now = world.now;
    let line = world.devices.get_mut(device).and_then(|device| device.disconnect(now));
    let fired = line.is_some();
    world.orphans.extend(line);
    fired
}

fn crash(world: &mut World, number: usize) -> bool {
    world.disconnect_silently(number);
    let device = &mut world.devices[number];
    match device.crash() {
        Ok(()) => true,
        Err(error) => {
            world.oracle.violated(format!("device {number} cannot be copied: {error:#}"));
            false
        }
    }
}

/// The turn is durable, and the device dies before it has written anything.
fn crash_after(world: &mut World, number: usize) -> bool {
    let now = world.now;
    let Some(Device { client: Some(client), link: Some(link), skew_ms, .. }) = world.devices.get_mut(number) else {
        return false;
    };
    let Some(frame) = link.down.pop_front() else { return false };
    // What the turn says of it, nobody hears.
    let _ = client.handle_frame(&frame, now.saturating_add_signed(*skew_ms));
    crash(world, number)
}

fn crash_server(world: &mut World) -> bool {
    end_server(world, Server::crash)
}

/// Only while the backup knows every conversation and every device: what it does not know is not given back to it.
fn restore_server(world: &mut World) -> bool {
    let Some(backup) = world.backup.clone().filter(|backup| backup.mark == world.oracle.mark()) else { return false };
    if world.devices.iter().any(|device| device.linking) || !end_server(world, |server| server.restore(&backup.folder))
    {
        return false;
    }
    let Some(server) = &world.server else { return true };
    let ids: Vec<_> = world.oracle.logs.keys().copied().collect();
    let heads = ids.into_iter().filter_map(|id| Some((id, server.head(world.tenant, id).ok().flatten()?)));
    let heads: Vec<_> = heads.collect();
    world.oracle.server_put_back(heads);
    true
}

fn end_server(world: &mut World, again: impl FnOnce(Server) -> anyhow::Result<Server>) -> bool {
    let Some(server) = world.server.take() else { return false };
    world.orphans.clear();
    let numbers = 0..world.devices.len();
    for number in numbers.clone() {
        // The server's ends are gone with it; the devices notice at once.
        if let Some(link) = &mut world.devices[number].link {
            link.line = None;
        }
    }
    match again(server) {
        Ok(server) => world.server = Some(server),
        Err(error) => world.oracle.violated(format!("the server does not start again: {error:#}")),
    }
    numbers.for_each(|number| world.disconnect(number));
    true
}

/// The server records the device's next frame, and dies before anybody hears of it.
fn crash_server_after(world: &mut World, number: usize) -> bool {
    let Some(frame) = world.devices.get_mut(number).and_then(|device| device.link.as_mut()?.up.pop_front()) else {
        return false;
    };
    world.serve(number, frame);
    crash_server(world)
}

fn restore(world: &mut World, number: usize) -> bool {
    let Some(device) = world.devices.get(number) else { return false };
    let Some(copy) = device.copies.last().cloned() else { return false };
    world.disconnect_silently(number);
    let device = &mut world.devices[number];
    let restored = device.restore(&copy.file);
    let id = device.id;
    if let Err(error) = restored {
        world.oracle.violated(format!("device {number} cannot be put back: {error:#}"));
        return false;
    }
    world.oracle.put_back(id, copy.cursors);
    true
}

fn prune(world: &mut World) -> bool {
    let Some(server) = &world.server else { return false };
    if let Err(error) = server.prune() {
        world.oracle.violated(format!("pruning failed: {error:#}"));
    }
    true
}
