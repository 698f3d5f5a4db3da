//! A third person: a group that grows and shrinks, and what the one who was removed can still read.

use super::scene::{Actor, Scene, remark};
use super::{admit, read};
use anyhow::Result;

const BEFORE: &str = "Welcome to the lab, Carol.";
const AFTER: &str = "Carol is gone. The formula is 42.";

/// Plays it. `Ok(false)`: somebody read what they should not have, or did not read what they should.
pub(super) fn play(scene: &Scene) -> Result<bool> {
    let alice = |arguments: &[&str]| scene.run(Actor::Alice, &mut scene.mifeng("alice", arguments));
    admit(scene, "carol", Actor::Carol)?;
    alice(&["group", "lab", "@bob"])?;
    alice(&["send", "lab", "Only the two of us so far."])?;
    alice(&["add", "lab", "@carol"])?;
    scene.run(Actor::Bob, &mut scene.mifeng("bob", &["send", "lab", BEFORE]))?;
    scene.run(Actor::Carol, &mut scene.mifeng("carol", &["tail", "lab"]))?;
    alice(&["remove", "lab", "@carol"])?;
    alice(&["send", "lab", AFTER])?;
    scene.run(Actor::Bob, &mut scene.mifeng("bob", &["tail", "lab"]))?;
    scene.run(Actor::Carol, &mut scene.mifeng("carol", &["tail", "lab"]))?;
    verdict(scene)
}

/// Carol has what was said while she was in, and nothing else; Bob has all of it.
fn verdict(scene: &Scene) -> Result<bool> {
    let texts = |person: &str| -> Result<Vec<String>> {
        Ok(read(scene, person, "lab")?.into_iter().map(|(_, text)| text).collect())
    };
    let (bob, carol) = (texts("bob")?, texts("carol")?);
    let has = |texts: &[String], text: &str| texts.iter().any(|line| line == text);
    let ok = has(&bob, BEFORE)
        && has(&bob, AFTER)
        && has(&carol, BEFORE)
        && !has(&carol, AFTER)
        && !carol.iter().any(|text| text.contains("Only the two of us"));
    remark(&format!(
        "         carol reads what was said while she was in, and only that: {}",
        if ok { "yes" } else { "NO" }
    ));
    Ok(ok)
}
