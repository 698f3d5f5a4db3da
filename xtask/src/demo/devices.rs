//! A second device: linked by a code that is carried over by hand, used beside the first, lost and revoked.

use super::read;
use super::scene::{Actor, Scene, remark};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

const BOTH: &str = "Alice, wherever you sit.";
const LOST: &str = "Only for the phone: the laptop is lost.";
const PATIENCE: Duration = Duration::from_secs(60);

/// Links Alice's laptop and lets it take part.
pub(super) fn link(scene: &Scene) -> Result<()> {
    let words = scene.run(Actor::Alice, &mut scene.mifeng("alice", &["devices", "link"]))?;
    let line = words.split('\'').nth(1).context("no server line was shown")?.to_owned();
    let password = scene.path("alice.password").display().to_string();
    let shown = scene.path("laptop.link");
    let arguments = ["link", &line, "--handle", "alice", "--name", "laptop", "--password-file", &password, "--no-qr"];
    let mut linking = scene.background_into(Actor::Laptop, &mut scene.mifeng("laptop", &arguments), &shown)?;
    let (code, number) = code(&shown)?;
    Scene::show(Actor::Laptop, &std::fs::read_to_string(&shown)?);
    remark("         (Alice reads the code off the one screen, types it into the other, and compares the numbers)");
    scene.run(Actor::Alice, &mut scene.mifeng("alice", &["devices", "confirm", &code, "--number", &number]))?;
    let status = linking.wait()?;
    Scene::show(Actor::Laptop, std::fs::read_to_string(&shown)?.lines().last().unwrap_or_default());
    if !status.success() {
        bail!("the laptop was not linked: {status}");
    }
    scene.run(Actor::Alice, &mut scene.mifeng("alice", &["devices"]))?;
    scene.run(Actor::Bob, &mut scene.mifeng("bob", &["send", "@alice", BOTH]))?;
    scene.run(Actor::Laptop, &mut scene.mifeng("laptop", &["tail", "@bob"]))?;
    scene.run(Actor::Laptop, &mut scene.mifeng("laptop", &["send", "@bob", "On the laptop just now."]))?;
    Ok(())
}

/// The laptop is lost. `Ok(false)`: it read what it should not have, or a device did not read what it should.
pub(super) fn revoke(scene: &Scene) -> Result<bool> {
    scene.run(Actor::Alice, &mut scene.mifeng("alice", &["devices", "revoke", "laptop"]))?;
    scene.run(Actor::Bob, &mut scene.mifeng("bob", &["send", "@alice", LOST]))?;
    let (status, _) = scene.try_run(Actor::Laptop, &mut scene.mifeng("laptop", &["tail", "@bob", "--lines", "3"]))?;
    let laptop = scene.must(&mut scene.mifeng("laptop", &["tail", "@bob", "--lines", "1000", "--offline"]))?;
    let phone = read(scene, "alice", "@bob")?;
    let on_phone = |text: &str| phone.iter().any(|(_, line)| line == text);
    let ok = !status.success()
        && laptop.contains(BOTH)
        && !laptop.contains(LOST)
        && !laptop.contains("do you read me?")
        && on_phone(BOTH)
        && on_phone(LOST);
    let verdict = if ok { "yes" } else { "NO" };
    remark(&format!("         the laptop has what was said while it was Alice's, and only that: {verdict}"));
    Ok(ok)
}

/// The code that the laptop shows, and the number.
fn code(shown: &std::path::Path) -> Result<(String, String)> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let text = std::fs::read_to_string(shown)?;
        let code = text.lines().find(|line| line.starts_with("MIFENG-LINK:"));
        let number = text.split("only if it is ").nth(1).and_then(|rest| rest.split('.').next());
        if let (Some(code), Some(number)) = (code, number) {
            return Ok((code.into(), number.replace(' ', "")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the laptop showed no code: {}", std::fs::read_to_string(shown)?)
}
