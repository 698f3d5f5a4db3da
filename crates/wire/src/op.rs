//! The operations of a device: a number, a name, parameters and an answer.

use crate::request::*;

/// An operation's parameters; the type of its answer belongs to it.
pub trait Operation: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()> {
    /// Which operation these are the parameters of.
    const OP: Op;
    /// What a success answers.
    type Answer: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>;
}

macro_rules! operations {
    ($($name:ident = $number:literal, $text:literal, $answer:ty;)*) => {
        /// Every operation. The number is what travels; the name is for logs, metrics and audit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Op {
            $(#[doc = concat!("See [`", stringify!($name), "`](crate::request::", stringify!($name), ").")] $name = $number,)*
        }

        impl Op {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number that travels.
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// The operation with this number, if this version knows it.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// The name for logs, metrics and audit.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        $(impl Operation for $name {
            const OP: Op = Op::$name;
            type Answer = $answer;
        })*
    };
}

operations! {
    Hello = 0x01, "hello", Greeting;
    JoinStart = 0x02, "join_start", JoinChallenge;
    JoinFinish = 0x03, "join_finish", Done;
    Authenticate = 0x04, "authenticate", Authenticated;
    LoginStart = 0x05, "login_start", LoginChallenge;
    LoginFinish = 0x06, "login_finish", LoggedIn;
    PublishKeyPackages = 0x10, "publish_key_packages", KeyPackagesHeld;
    ClaimKeyPackages = 0x11, "claim_key_packages", ClaimedKeyPackages;
    FindUser = 0x12, "find_user", FoundUser;
    FetchChain = 0x13, "fetch_chain", Chain;
    CreateConversation = 0x20, "create_conversation", Done;
    Commit = 0x21, "commit", RecordedAt;
    Send = 0x22, "send", RecordedAt;
    Fetch = 0x23, "fetch", Fetched;
    Acknowledge = 0x24, "acknowledge", Done;
    Sync = 0x25, "sync", Synced;
    FetchWelcomes = 0x26, "fetch_welcomes", Welcomes;
    AcceptWelcome = 0x27, "accept_welcome", Done;
    FetchTree = 0x28, "fetch_tree", Tree;
    FetchGroupInfo = 0x29, "fetch_group_info", CurrentGroup;
    Whisper = 0x2a, "whisper", Done;
    Propose = 0x2b, "propose", RecordedAt;
    Succeed = 0x2c, "succeed", RecordedAt;
    FetchRestored = 0x2d, "fetch_restored", Restored;
    Resupply = 0x2e, "resupply", RecordedAt;
    RenewGroupInfo = 0x2f, "renew_group_info", Done;
    FetchOwnChain = 0x30, "fetch_own_chain", OwnChain;
    OfferLink = 0x31, "offer_link", Done;
    CollectLink = 0x32, "collect_link", CollectedLink;
    FetchOffer = 0x33, "fetch_offer", FetchedOffer;
    AnswerLink = 0x34, "answer_link", Done;
    RevokeDevice = 0x35, "revoke_device", Done;
    FetchChainChanges = 0x36, "fetch_chain_changes", ChainChanges;
    FetchJoinable = 0x37, "fetch_joinable", Joinable;
    FetchStay = 0x38, "fetch_stay", Stay;
    BeginBlob = 0x40, "begin_blob", BlobProgress;
    PutPart = 0x41, "put_part", Done;
    FinishBlob = 0x42, "finish_blob", Done;
    FetchPart = 0x43, "fetch_part", Part;
    DeleteBlob = 0x44, "delete_blob", Done;
    OpenArchiveDay = 0x50, "open_archive_day", ArchiveDay;
    FetchArchiveDays = 0x51, "fetch_archive_days", ArchiveDays;
    RewrapArchiveDays = 0x52, "rewrap_archive_days", Done;
    PutSegment = 0x53, "put_segment", Done;
    FetchSegments = 0x54, "fetch_segments", Segments;
    ListSegments = 0x55, "list_segments", SegmentList;
    KeepOut = 0x56, "keep_out", Done;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_numbers_return() {
        let names: BTreeSet<_> = Op::ALL.iter().map(|op| op.as_str()).collect();
        assert_eq!(names.len(), Op::ALL.len());
        for op in Op::ALL {
            assert_eq!(Op::from_number(op.number()), Some(*op));
        }
    }
}
