//! Off-switches of our own defences, for the one build that shows that the tests of the attacks can fail.
//!
//! Everywhere else [`stands`] is the constant `true`, and the compiler leaves nothing of a switch behind; `cargo xtask
//! sabotage` checks that. Only with `--cfg sabotage`, which refuses to be optimised for release, does a process read the
//! name of one defence from the environment and do without it. `ci/sabotage.toml` says which tests must fail then.

macro_rules! defences {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A defence that can be left out. The name is that of `ci/sabotage.toml`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Defence {
            $($(#[$doc])* $name,)*
        }

        impl Defence {
            /// Every defence.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

defences! {
    /// A leaf is let in only if its user's device chain certifies it.
    Vouching = "vouching";
    /// An external commit only rejoins, or brings in a further device of a member.
    ExternalCommit = "external-commit";
    /// The group's policy says who may change what.
    GroupPolicy = "group-policy";
    /// The envelope names the device whose leaf has signed.
    EnvelopeSender = "envelope-sender";
    /// The envelope names the message id that was authenticated.
    EnvelopeId = "envelope-id";
    /// An entry of a device chain is signed by the account key.
    ChainSignature = "chain-signature";
    /// A new device has signed for itself.
    ChainPossession = "chain-possession";
    /// An entry of a device chain follows the one before it.
    ChainLink = "chain-link";
    /// A contact's chain only grows.
    ChainPinned = "chain-pinned";
    /// A handle stays with its user.
    HandlePinned = "handle-pinned";
    /// A signature is made and checked under the label of its purpose.
    SignatureLabel = "signature-label";
    /// What MLS asks to be signed is a signature input of MLS.
    MlsDoor = "mls-door";
    /// Low-order keys and malleable signatures are refused.
    StrictSignature = "strict-signature";
    /// A one-time key package is handed out once.
    ClaimOnce = "claim-once";
    /// Claims of a pair have a daily quota.
    ClaimQuota = "claim-quota";
    /// Looking people up has a daily quota.
    LookupQuota = "lookup-quota";
    /// The lifetime of a key package has a largest width.
    KeyPackageWidth = "key-package-width";
    /// A group that is joined is the one that the invitation names.
    InvitationAgrees = "invitation-agrees";
    /// A second direct conversation with the same person is not taken.
    ShadowConversation = "shadow-conversation";
    /// The GroupInfo beside a commit is of the epoch that the commit begins.
    GroupInfoOfCommit = "group-info-of-commit";
    /// The Welcome beside a commit is for exactly those whom it adds.
    WelcomeOfCommit = "welcome-of-commit";
    /// One commit wins an epoch.
    EpochCompareAndSet = "epoch-compare-and-set";
    /// Who makes a commit that others cannot follow is named.
    PoisonerNamed = "poisoner-named";
    /// A device that cannot follow replaces its leaf.
    Repair = "repair";
    /// Entries are processed in the order of the log.
    LogOrder = "log-order";
    /// What a sender has seen is compared with what was seen here.
    SeenHash = "seen-hash";
    /// An entry of this device that it has not sent is noticed.
    CopyNoticed = "copy-noticed";
    /// A profile is one process's.
    ProfileLock = "profile-lock";
    /// What is deleted from a device's database is overwritten.
    SecureDelete = "secure-delete";
    /// A device's write-ahead log does not keep what was deleted.
    OldPages = "old-pages";
    /// The key of a stored value is destroyed with it.
    RowKeys = "row-keys";
    /// A part of a file opens in its own place only.
    PartPlace = "part-place";
    /// A file is the one that its message names, whole.
    FileDigest = "file-digest";
    /// A key package is of the tenant's cipher suite.
    SuiteOfTenant = "suite-of-tenant";
    /// A group is followed by one under the same policy, with the same people, of a suite that is not weaker.
    Succession = "succession";
    /// What a restore has lost is taken back in its order, and only while it is asked for.
    SupplyInOrder = "supply-in-order";
    /// Nobody who was removed is written to again because the server forgot it.
    ReturnedNotTrusted = "returned-not-trusted";
    /// A message is for the group that serves the conversation now.
    GroupOfConversation = "group-of-conversation";
    /// A tenant's cipher suite only becomes stronger.
    SuiteOnlyStronger = "suite-only-stronger";
    /// A group context holds the policy and what it requires, and nothing else.
    GroupContext = "group-context";
    /// Only its author edits or deletes a message.
    AuthorOfChange = "author-of-change";
    /// A message id is used once.
    MessageIdOnce = "message-id-once";
    /// Guesses at a password are counted and have to wait.
    GuessesCounted = "guesses-counted";
    /// Spellings of a handle are folded into one.
    HandleFolding = "handle-folding";
    /// A weak passphrase is refused.
    StrongPassphrase = "strong-passphrase";
    /// An unknown handle is answered like a known one.
    FakeRecord = "fake-record";
    /// An operation is open to the standing that its rule declares.
    Standing = "standing";
    /// A log is read and written by members only.
    Membership = "membership";
    /// A commit is its sender's own.
    CommitOfCaller = "commit-of-caller";
    /// Markup nests only so deep.
    MarkupDepth = "markup-depth";
    /// A sealed value opens in its own cell only.
    CellBinding = "cell-binding";
    /// The server's certificate is of the authority that the invite names.
    PinnedAuthority = "pinned-authority";
    /// A caller of an inner plane shows the plane's client certificate.
    ClientCertificate = "client-certificate";
    /// A stranger may send only so many bytes.
    StrangerAllowance = "stranger-allowance";
    /// An address may have only so many connections.
    AddressCap = "address-cap";
    /// What waits for a slow reader is bounded.
    QueueBound = "queue-bound";
    /// Who asks too often has to wait.
    RateLimit = "rate-limit";
}

/// Whether the defence is in place. Always, but in the build that is made to fail.
#[cfg(not(sabotage))]
#[inline]
pub const fn stands(_: Defence) -> bool {
    true
}

/// Whether the defence is in place: all are, but for the one that [`VARIABLE`] names.
#[cfg(sabotage)]
pub fn stands(defence: Defence) -> bool {
    *chosen::LEFT_OUT != Some(defence)
}

/// The environment variable that names the defence to leave out.
#[cfg(sabotage)]
pub const VARIABLE: &str = "MIFENG_SABOTAGE";

#[cfg(all(sabotage, not(debug_assertions)))]
compile_error!("the build without defences is for tests only");

#[cfg(sabotage)]
mod chosen {
    use super::{Defence, VARIABLE};
    use std::sync::LazyLock;

    pub(super) static LEFT_OUT: LazyLock<Option<Defence>> = LazyLock::new(|| {
        let name = std::env::var(VARIABLE).ok()?;
        let named = Defence::ALL.iter().find(|defence| defence.as_str() == name);
        #[expect(clippy::panic, reason = "a switch that does nothing would make a test look useless")]
        Some(*named.unwrap_or_else(|| panic!("{VARIABLE} names no defence: {name}")))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = Defence::ALL.iter().map(|defence| defence.as_str()).collect();
        assert_eq!(names.len(), Defence::ALL.len());
    }

    #[cfg(not(sabotage))]
    #[test]
    fn nothing_is_left_out() {
        // Known to the compiler, which leaves nothing of a switch behind.
        const { assert!(stands(Defence::Vouching)) }
    }
}
