//! What a device, or a stranger with one, can hand to the server for a group that the server follows (RFC 9750, the
//! delivery service). What is refused leaves the group as it was.

use super::change::{changed, taken_unchanged};
use super::stage::{STAGE, Stage, now, vouch};
use e2ee::Suite;
use roster::{CheckedCommit, PublicTree, Refused};

/// A commit with its GroupInfo and its Welcome: the first byte says which is changed.
pub(super) mod commit {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some((which, changes)) = bytes.split_first() else { return false };
        STAGE.with(|stage| {
            let original = [&stage.commit.payload, &stage.commit_group_info, &stage.commit_welcome];
            let mut parts = original.map(Clone::clone);
            let part = &mut parts[usize::from(which % 3)];
            *part = changed(part, changes);
            let unchanged = parts.iter().eq(original);
            let checked = unharmed(stage, |server| {
                server.check(&parts[0], &parts[1], Some(&parts[2]), &vouch).map(|checked| says(&checked))
            });
            assert!(checked.is_ok() || !unchanged, "unchanged, and refused: {checked:?}");
            // A Welcome is for the joiners, and the membership tag for the members: the server cannot check what is in them.
            // Everything that it records is what the committer signed.
            let Ok(checked) = checked else { return false };
            let [commit, group_info, welcome] = original;
            let untouched = stage.server.check(commit, group_info, Some(welcome), &vouch).unwrap();
            assert_eq!(checked, says(&untouched));
            true
        })
    }

    fn says(commit: &CheckedCommit) -> String {
        let CheckedCommit { committer, changes, aad, epoch, members, added, removed, .. } = commit;
        format!("{committer:?} {changes:?} {aad:?} {epoch} {members:?} {added:?} {removed:?}")
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![0], vec![1], vec![2]]
    }
}

/// A proposal to leave.
pub(super) mod proposal {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        STAGE.with(|stage| {
            let (original, id) = (&stage.proposal.payload, stage.proposal.message_id);
            let proposal = changed(original, bytes);
            let checked = unharmed(stage, |server| server.check_proposal(&proposal));
            assert!(checked.is_ok() || proposal != *original, "unchanged, and refused: {checked:?}");
            let Ok(checked) = checked else { return false };
            assert_eq!((checked.leaver.device, checked.aad.message_id), (stage.proposal.sender, id));
            true
        })
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

/// A new group: the first byte says whether its GroupInfo or its tree is changed.
pub(super) mod new_group {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some((which, changes)) = bytes.split_first() else { return false };
        STAGE.with(|stage| {
            let original = [&stage.created.group_info, &stage.created.tree];
            let mut parts = original.map(Clone::clone);
            let part = &mut parts[usize::from(which % 2)];
            *part = changed(part, changes);
            let created = PublicTree::create(&parts[0], &parts[1], &vouch);
            taken_unchanged(&original.map(Clone::clone).concat(), &parts.concat(), created)
        })
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![0], vec![1]]
    }
}

/// A group that is to take the place of this one: the first byte says whether its GroupInfo, its tree or its Welcome is
/// changed.
pub(super) mod successor {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some((which, changes)) = bytes.split_first() else { return false };
        STAGE.with(|stage| {
            let welcome = stage.succession.welcome.clone().unwrap();
            let original = [&stage.succession.group_info, &stage.succession.tree, &welcome];
            let mut parts = original.map(Clone::clone);
            let part = &mut parts[usize::from(which % 3)];
            *part = changed(part, changes);
            let next = unharmed(stage, |server| {
                server.successor(&parts[0], &parts[1], Some(&parts[2]), &stage.alice.identity, &vouch)
            });
            if which % 3 < 2 {
                return taken_unchanged(&original.map(Clone::clone).concat(), &parts.concat(), next);
            }
            // What a Welcome says is for those who get it; it is counted.
            assert!(next.is_ok() || parts[2] != welcome, "unchanged, and refused: {next:?}");
            next.is_ok()
        })
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![0], vec![1], vec![2]]
    }
}

/// A key package that a device uploads.
pub(super) mod key_package {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        STAGE.with(|stage| {
            let package = changed(&stage.key_package, bytes);
            let checked = roster::key_package::check(&package, now(), Suite::Classical);
            taken_unchanged(&stage.key_package, &package, checked)
        })
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        vec![vec![]]
    }
}

/// Asks the server's group, and holds that the question changes nothing.
fn unharmed<T>(stage: &Stage, ask: impl FnOnce(&PublicTree) -> Result<T, Refused>) -> Result<T, Refused> {
    let facts = |server: &PublicTree| (server.epoch(), server.members().ok());
    let before = facts(&stage.server);
    let answer = ask(&stage.server);
    assert_eq!(facts(&stage.server), before);
    answer
}
