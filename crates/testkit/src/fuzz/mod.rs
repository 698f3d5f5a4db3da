//! Everything that sees bytes from outside, as functions of bytes: for the fuzzer (`fuzz/`), and for the corpus that every
//! test run replays (`tests/corpus.rs`).
//!
//! An [`Entrance`] panics if a promise is broken, and returns whatever the bytes are. What decodes encodes to what decodes
//! to the same; what is signed or sealed is not taken once it is changed. Where bytes mean something only beside a key or a
//! group, these are real and made anew by each process, and the input says what is changed of what they have sealed.

mod change;
mod content;
mod delivery;
mod frames;
mod gateway;
mod identities;
mod lines;
mod member;
mod mls;
mod sealed;
mod stage;

/// Entrances that are tried by one run of the fuzzer. The first byte of an input chooses one of them.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// What it tries. New ones go to the end: the corpus knows them by their place.
    pub entrances: &'static [Entrance],
}

/// One entrance for bytes from outside.
#[derive(Clone, Copy)]
pub struct Entrance {
    /// What it takes.
    pub name: &'static str,
    /// Tries the bytes; whether they were taken for what they claim to be.
    pub run: fn(&[u8]) -> bool,
    /// Inputs made of real objects, all of which are taken.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($target:ident: $($name:ident)*;)*) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($target),
            entrances: &[$(Entrance {
                name: stringify!($name),
                run: $target::$name::run,
                seeds: $target::$name::seeds,
            },)*],
        },)*];
    };
}

targets! {
    frames: request server_frame answer;
    identities: signed_entry chain offered_entry leaf_identity group_policy authenticated_data;
    mls: key_package new_group snapshot application handshake;
    content: said plaintext markdown;
    lines: invite_line server_line link_code handle tenant_name configuration;
    sealed: cell wrapped_key registration_request registration_upload login link_offer link_answer offer package whisper;
    member: any_entry message commit proposal welcome tree group_info succession;
    delivery: commit proposal new_group successor key_package;
    gateway: stranger device;
}

impl Target {
    /// The target with this name.
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.iter().copied().find(|target| target.name == name)
    }

    /// Tries an input at the entrance that it chooses; whether it was taken. One without a first byte chooses none.
    pub fn run(&self, input: &[u8]) -> bool {
        let Some((place, bytes)) = input.split_first() else { return false };
        let entrance = self.entrances.get(usize::from(*place) % self.entrances.len());
        entrance.is_some_and(|entrance| (entrance.run)(bytes))
    }

    /// Inputs that are taken, at least one for every entrance.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let at = |(place, entrance): (u8, &Entrance)| {
            (entrance.seeds)().into_iter().map(move |bytes| [&[place], bytes.as_slice()].concat()).collect::<Vec<_>>()
        };
        (0..).zip(self.entrances).flat_map(at).collect()
    }
}
