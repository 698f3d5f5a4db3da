//! MLS objects of any bytes, as server and client read them before they know a group.

use super::stage::{Party, STAGE, now};
use e2ee::{KeyPackageUse, Suite};
use roster::{PublicTree, Vouched, key_package as packages, payload};

const SUITES: [Suite; 2] = [Suite::XWing, Suite::Classical];

pub(super) mod key_package {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let facts = SUITES.map(|suite| packages::check(bytes, now(), suite).ok());
        assert!(facts.iter().any(Option::is_none), "of one suite, and taken as of two");
        facts.iter().any(Option::is_some)
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let party = Party::new(b'k');
        let package = |suite, usage| party.device().key_package(suite, usage, now()).unwrap().bytes;
        let uses = [KeyPackageUse::Once, KeyPackageUse::LastResort];
        SUITES.iter().flat_map(|suite| uses.map(|usage| package(*suite, usage))).collect()
    }
}

/// GroupInfo and tree, the first two bytes telling where the one ends.
pub(super) mod new_group {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some((middle, rest)) = bytes.split_first_chunk() else { return false };
        let middle = usize::from(u16::from_be_bytes(*middle)).min(rest.len());
        let (group_info, tree) = rest.split_at(middle);
        let Ok(created) = PublicTree::create(group_info, tree, &|_, _| Vouched::Yes) else { return false };
        assert_eq!((created.epoch(), created.members().map(|members| members.len()).ok()), (0, Some(1)));
        assert_eq!(created.policy().validate(), Ok(()));
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let pair = |suite| {
            let created = Party::new(b'n').create(suite).output;
            let middle = u16::try_from(created.group_info.len()).unwrap();
            [middle.to_be_bytes().as_slice(), &created.group_info, &created.tree].concat()
        };
        SUITES.map(pair).to_vec()
    }
}

/// The server's own, sealed when it is stored; damage is not to harm the server even so.
pub(super) mod snapshot {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Ok(tree) = PublicTree::restore(bytes, []) else { return false };
        let _ = (tree.members().is_ok(), tree.tree_bytes().is_ok());
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        STAGE.with(|stage| vec![stage.server.snapshot().unwrap()])
    }
}

/// The outside of an application message.
pub(super) mod application {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Ok(facts) = payload::check_application(bytes) else { return false };
        assert_eq!(payload::check_application(bytes).ok(), Some(facts));
        assert!(payload::place(bytes).is_err(), "a message that is also a handshake");
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        STAGE.with(|stage| vec![stage.message.payload.clone()])
    }
}

/// The group and the epoch that a handshake names, and the group of a GroupInfo.
pub(super) mod handshake {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let (place, group) = (payload::place(bytes), e2ee::group_of(bytes));
        assert!(place.is_err() || group.is_err(), "a handshake that is also a GroupInfo");
        place.is_ok() || group.is_ok()
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        STAGE.with(|stage| {
            let handshakes = [&stage.commit.payload, &stage.proposal.payload, &stage.commit_group_info];
            handshakes.map(Clone::clone).to_vec()
        })
    }
}
