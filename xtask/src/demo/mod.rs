//! `cargo xtask demo`: the story of one conversation, played with the real programs. Everything it does a person could type,
//! and it shows what it types.

mod devices;
mod group;
mod scene;
mod server;

use crate::prepare;
use crate::stage::{paint, stream};
use crate::test::cargo_command;
use crate::workspace;
use anyhow::{Context, Result, bail};
use scene::{Actor, Scene, headline, remark, write_private};
use server::{Server, recorded, sealed_entries, show_what_it_sees};

/// Options of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// End by itself, with a status, instead of leaving the server up.
    #[arg(long)]
    exit: bool,
}

/// Messages of the burst in whose middle the server is killed.
const BURST: usize = 40;
/// It is killed when it has recorded so many of them.
const KILLED_AFTER: usize = 4;

/// Plays the story. `Ok(false)`: something in it was not as promised.
pub(crate) fn run(options: &Options) -> Result<bool> {
    prepare::to_demonstrate()?;
    let scene = Scene::new(build()?)?;
    println!("\nEverything of this demo is in {}; it is shown as if you stood there.", scene.folder.display());

    headline("1. A server");
    let server = open_shop(&scene)?;
    headline("2. Two people");
    admit(&scene, "alice", Actor::Alice)?;
    admit(&scene, "bob", Actor::Bob)?;
    let ok = play(&scene, server, options)?;
    if options.exit {
        std::fs::remove_dir_all(&scene.folder).context("removing the demo's folder")?;
    }
    Ok(ok)
}

fn play(scene: &Scene, mut server: Server, options: &Options) -> Result<bool> {
    headline("3. They talk");
    scene.run(Actor::Alice, &mut scene.mifeng("alice", &["send", "@bob", "Bob, do you read me? 密封"]))?;
    scene.run(Actor::Bob, &mut scene.mifeng("bob", &["tail", "@alice"]))?;
    scene.run(Actor::Bob, &mut scene.mifeng("bob", &["send", "@alice", "Loud and clear. Nobody else does."]))?;
    scene.run(Actor::Alice, &mut scene.mifeng("alice", &["tail", "@bob"]))?;

    headline("4. The server is killed in the middle");
    let sent = burst(scene, &mut server)?;
    headline("5. Nothing is lost, nothing is doubled");
    let whole = compare(scene, &sent)?;

    headline("6. Alice's second device");
    devices::link(scene)?;
    headline("7. A group, with one more and one less");
    let group = group::play(scene)?;
    headline("8. The second device is lost");
    let revoked = devices::revoke(scene)?;
    headline("9. What the server sees");
    show_what_it_sees(scene)?;
    side_by_side(scene)?;

    headline("10. The proof");
    remark("Another server, whose traffic, files, logs and memory are searched for what people said.");
    let proof = scene.try_run(Actor::Anyone, scene.program("mifeng").arg("prove"))?.0.success();

    let ok = whole && group && revoked && proof;
    let verdict = |ok: bool| if ok { paint("32", "yes") } else { paint("31", "NO") };
    headline("The end");
    println!("every acknowledged message there, once, in order: {}", verdict(whole));
    println!("who was removed read nothing after it:            {}", verdict(group));
    println!("a revoked device read nothing after it:           {}", verdict(revoked));
    println!("the server held no plaintext:                     {}", verdict(proof));
    if options.exit {
        server.stop(scene)?;
    } else {
        invite_the_audience(scene)?;
        server.wait()?;
    }
    Ok(ok)
}

/// Builds both programs, each by its own call, and says where they are.
fn build() -> Result<std::path::PathBuf> {
    let root = workspace::root();
    for package in ["mifeng-server", "mifeng-cli"] {
        stream(&mut cargo_command(&["build", "--locked", "--package", package]), |_| {})?;
    }
    Ok(workspace::metadata(&root)?.target_directory.into_std_path_buf().join("debug"))
}

fn open_shop(scene: &Scene) -> Result<Server> {
    write_private(&scene.path("passphrase"), &format!("{}\n", secret()?))?;
    let passphrase = scene.path("passphrase").display().to_string();
    scene.run(Actor::Operator, &mut scene.mifengd(&["init", "--passphrase-file", &passphrase]))?;
    let server = Server::start(scene)?;
    scene.run(Actor::Operator, &mut scene.mifengd(&["tenant", "create", "acme"]))?;
    Ok(server)
}

/// An invite for a person, who joins with it.
fn admit(scene: &Scene, person: &str, actor: Actor) -> Result<()> {
    let line = invite(scene)?;
    let password = scene.path(&format!("{person}.password"));
    write_private(&password, &format!("{}\n", secret()?))?;
    let password = password.display().to_string();
    scene.run(actor, &mut scene.mifeng(person, &["join", &line, "--handle", person, "--password-file", &password]))?;
    Ok(())
}

/// A new invite line.
fn invite(scene: &Scene) -> Result<String> {
    let words = scene.run(Actor::Operator, &mut scene.mifengd(&["invite", "create", "--tenant", "acme"]))?;
    words.lines().next().map(str::to_owned).context("mifengd printed no invite")
}

/// Alice sends; in the middle of a burst the server dies. What it had not acknowledged waits on her device.
fn burst(scene: &Scene, server: &mut Server) -> Result<Vec<String>> {
    let texts: Vec<String> = (1..=BURST).map(|number| format!("message {number} of {BURST}")).collect();
    let [first, waiting @ .., carrier, dead, last] = texts.as_slice() else { bail!("the burst is too short") };
    scene.run(Actor::Alice, &mut scene.mifeng("alice", &["send", "@bob", first]))?;
    remark(&format!("         (she writes {} more while offline: `mifeng send --queue`)", waiting.len()));
    for text in waiting {
        scene.must(&mut scene.mifeng("alice", &["send", "--queue", "@bob", text]))?;
    }
    let before = recorded(scene)?;
    let mut sending =
        scene.background(Actor::Alice, &mut scene.mifeng("alice", &["--timeout", "5", "send", "@bob", carrier]))?;
    while recorded(scene)? < before + KILLED_AFTER {
        if sending.try_wait()?.is_some() {
            bail!("everything was sent before the server could be killed: the kill proved nothing");
        }
    }
    server.kill()?;
    sending.wait()?;
    let (status, _) =
        scene.try_run(Actor::Alice, &mut scene.mifeng("alice", &["--timeout", "2", "send", "@bob", dead]))?;
    if status.success() {
        bail!("the server answered after its death");
    }
    server.start_again(scene)?;
    let had = recorded(scene)?.saturating_sub(before);
    remark(&format!("         (of the {} that were on their way, it had recorded {had} when it died)", waiting.len()));
    if had >= waiting.len() {
        bail!("everything was recorded before the server was killed: the kill proved nothing");
    }
    scene.run(Actor::Alice, &mut scene.mifeng("alice", &["send", "@bob", last]))?;
    Ok(texts)
}

/// Both people read the whole conversation: each text once, in the same order, on both sides.
fn compare(scene: &Scene, texts: &[String]) -> Result<bool> {
    scene.run(Actor::Bob, &mut scene.mifeng("bob", &["tail", "@alice"]))?;
    let (alice, bob) = (read(scene, "alice", "@bob")?, read(scene, "bob", "@alice")?);
    let burst: Vec<&String> = bob.iter().map(|(_, text)| text).filter(|text| texts.contains(text)).collect();
    let ok = alice == bob && burst.iter().copied().eq(texts);
    remark(&format!(
        "         alice has {} lines, bob {}: {}",
        alice.len(),
        bob.len(),
        if ok { "the same" } else { "DIFFERENT" }
    ));
    Ok(ok)
}

/// The same lines as three parties have them.
fn side_by_side(scene: &Scene) -> Result<()> {
    remark("Side by side: what the two people read, and what lies on the server's disk.");
    let (alice, bob, server) = (read(scene, "alice", "@bob")?, read(scene, "bob", "@alice")?, sealed_entries(scene)?);
    for (seq, text) in alice.iter().take(3) {
        let other = bob.iter().find(|(other, _)| other == seq).map_or("(nothing)", |(_, text)| text.as_str());
        println!("#{seq:<3} {}  {text}", paint("32", "alice "));
        println!("     {}  {other}", paint("36", "bob   "));
        let server = match server.get(seq) {
            Some((bytes, sealed)) => format!("{bytes} bytes: {}...", paint("2", sealed)),
            None => "nothing any more: every device has it".to_owned(),
        };
        println!("     {}  {server}", paint("31", "server"));
    }
    Ok(())
}

/// Place and text of every line of a conversation, as `mifeng --json` gives them.
fn read(scene: &Scene, person: &str, with: &str) -> Result<Vec<(u64, String)>> {
    let lines = scene.must(&mut scene.mifeng(person, &["--json", "tail", with, "--lines", "1000"]))?;
    let text = |line: &str| -> Result<Option<(u64, String)>> {
        let value: serde_json::Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        Ok(value["seq"].as_u64().zip(value["text"].as_str().map(str::to_owned)))
    };
    lines.lines().filter_map(|line| text(line).transpose()).collect()
}

/// Lines to paste into other terminals.
fn invite_the_audience(scene: &Scene) -> Result<()> {
    headline("Your turn");
    let line = invite(scene)?;
    let folder = scene.folder.display();
    let mifeng = scene.program("mifeng").get_program().to_string_lossy().into_owned();
    println!("The server stays up. In another terminal:");
    println!();
    println!("  {mifeng} --profile {folder}/you join '{line}' --handle you");
    println!("  {mifeng} --profile {folder}/you send @alice 'Hello Alice'");
    println!("  {mifeng} --profile {folder}/you chat");
    println!();
    println!("and in one more, to answer as Alice:");
    println!();
    println!("  {mifeng} --profile {folder}/alice chat");
    println!();
    println!("Its log: {folder}/mifengd.log. Ctrl-C ends it; the folder stays until you delete it.");
    Ok(())
}

/// A random secret, from the kernel.
fn secret() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
