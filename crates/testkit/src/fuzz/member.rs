//! What a server, or another member, can hand to a device that is in a group, or is to come into one.

use super::change::{changed, taken_unchanged};
use super::stage::{EPOCH, NEXT, STAGE, Stage, WORDS, aad, invitation, vouch};
use e2ee::{Error, Opened};
use wire::{Entry, EntryKind};

/// Any bytes as any entry: nobody in the group has made them.
pub(super) mod any_entry {
    use super::*;

    const KINDS: [EntryKind; 4] =
        [EntryKind::Application, EntryKind::Commit, EntryKind::Proposal, EntryKind::Succession];

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        STAGE.with(|stage| {
            let made = [&stage.message, &stage.commit, &stage.proposal].map(|entry| entry.payload.as_slice());
            let entry = |kind| Entry { kind, payload: bytes.to_vec(), ..stage.message.clone() };
            KINDS.iter().any(|kind| {
                let opened = open(stage, &entry(*kind)).is_ok();
                assert!(!opened || made.contains(&bytes), "nobody made this {kind:?}");
                opened
            })
        })
    }

    /// They open only in the process that made them; their form is what the fuzzer begins with.
    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        STAGE.with(|stage| vec![stage.message.payload.clone()])
    }
}

macro_rules! entries {
    ($($name:ident)*) => {$(
        /// The whole entry, as it is encoded, with changes.
        pub(super) mod $name {
            use super::*;

            pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
                STAGE.with(|stage| changed_entry(stage, &stage.$name, bytes))
            }

            pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
                vec![vec![]]
            }
        }
    )*};
}

entries! { message commit proposal }

fn changed_entry(stage: &Stage, original: &Entry, changes: &[u8]) -> bool {
    let Ok(entry) = wire::decode::<Entry>(&changed(&wire::encode(original), changes)) else { return false };
    // Its place in the log and the time are the server's to say; the hash chain holds the place.
    let entry = Entry { seq: original.seq, at: original.at, ..entry };
    let opened = open(stage, &entry);
    if let Ok(Opened::Message { sender, plaintext, .. }) = &opened {
        assert_eq!((sender.identity, plaintext.as_slice()), (stage.alice.identity, WORDS));
    }
    taken_unchanged(&wire::encode(original), &wire::encode(&entry), opened)
}

fn open(stage: &Stage, entry: &Entry) -> Result<Opened, Error> {
    stage.bob.group().open(&stage.bob.device(), entry, &vouch).map(|changed| changed.output)
}

/// The Welcome by which Carol joins.
pub(super) mod welcome {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        STAGE.with(|stage| {
            let welcome = changed(&stage.commit_welcome, bytes);
            let joined = members_after(stage, &welcome, &stage.commit_tree);
            assert!(joined.is_ok() || welcome != stage.commit_welcome, "unchanged, and refused: {joined:?}");
            // What a Welcome says to other joiners is not hers to check: she comes into the same group, or into none.
            let Ok(joined) = joined else { return false };
            assert_eq!(Ok(joined), members_after(stage, &stage.commit_welcome, &stage.commit_tree));
            true
        })
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

/// The tree that the server hands out with it.
pub(super) mod tree {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        STAGE.with(|stage| {
            let tree = changed(&stage.commit_tree, bytes);
            taken_unchanged(&stage.commit_tree, &tree, members_after(stage, &stage.commit_welcome, &tree))
        })
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

/// Who is in the group that Carol joins, with everything about each leaf.
fn members_after(stage: &Stage, welcome: &[u8], tree: &[u8]) -> Result<String, String> {
    let joined = stage.carol.device().join(&invitation(EPOCH + 1, welcome, tree), &vouch);
    let group = joined.map_err(|error| format!("{error:?}"))?.group.ok_or("no group")?;
    Ok(format!("{:?} {:?} {:?}", group.id(), group.members(), group.tree()))
}

/// The GroupInfo by which Bob comes back from outside.
pub(super) mod group_info {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        STAGE.with(|stage| {
            let original = &stage.commit_group_info;
            let group_info = changed(original, bytes);
            let way = invitation(EPOCH + 1, &group_info, &stage.commit_tree);
            taken_unchanged(original, &group_info, stage.bob.device().rejoin(&way, None, &aad(9), &vouch))
        })
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

/// The group that takes the place of Bob's: the first byte says whether its tree or its Welcome is changed.
pub(super) mod succession {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some((which, changes)) = bytes.split_first() else { return false };
        STAGE.with(|stage| {
            let succession = &stage.succession;
            let welcome = succession.welcome.clone().unwrap();
            let parts = [&succession.tree, &welcome];
            let part = changed(parts[usize::from(which % 2)], changes);
            let (tree, message) = if which % 2 == 0 { (&part, &welcome) } else { (&succession.tree, &part) };
            let followed = follow(stage, message, tree);
            assert!(followed.is_ok() || part != *parts[usize::from(which % 2)], "unchanged, and refused: {followed:?}");
            let Ok(followed) = followed else { return false };
            assert_eq!(Ok(followed), follow(stage, &welcome, &succession.tree));
            true
        })
    }

    fn follow(stage: &Stage, welcome: &[u8], tree: &[u8]) -> Result<String, String> {
        let (before, maker) = (stage.bob.group(), stage.alice.identity.device);
        let way = invitation(EPOCH, welcome, tree);
        let followed = stage.bob.device().follow(before, NEXT, maker, &way, &vouch);
        let group = followed.map_err(|error| format!("{error:?}"))?.group.ok_or("no group")?;
        Ok(format!("{:?} {:?} {:?}", group.id(), group.members(), group.tree()))
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![0], vec![1]]
    }
}
