//! What people say, after it was decrypted: a member can say anything.

use super::stage::Counted;
use client::content::markdown::{Block, Document, Inline};
use client::content::{Attachment, Body, Content, Expiry, FileDetails, Mention, Plaintext, Preview, Reaction, Voice};
use vault::FileKey;
use wire::{BlobId, MessageId, UserId};

pub(super) mod said {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Ok(content) = Content::from_bytes(bytes) else { return false };
        let encoded = content.to_bytes();
        assert_eq!(Content::from_bytes(&encoded).map(|content| content.to_bytes()).as_ref(), Ok(&encoded));
        let words = content.body.words().unwrap_or_default();
        check_bounds(&Document::parse(words, &content.mentions));
        check_bounds(&Document::plain(words, &content.mentions));
        true
    }

    fn attachment() -> Attachment {
        let preview = Preview { width: 4, height: 3, thumbnail: vec![0xff, 0xd8, 0xff] };
        let voice = Voice { duration_ms: 900, waveform: vec![0, 255] };
        let (name, media_type) = ("plan.pdf".into(), Some("text/plain".into()));
        let details = FileDetails { name, media_type, preview: Some(preview), voice: Some(voice) };
        Attachment::new(details, 7, BlobId::from_bytes([4; 16]), &FileKey::from_bytes([5; 32]), [6; 32])
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let target = MessageId::from_bytes([3; 16]);
        let bodies = [
            Body::Text("蜜蜂 hello".into()),
            Body::Markdown("*a* **b** `c`".into()),
            Body::Edit { target, text: "b".into() },
            Body::Delete { target },
            Body::Reaction(Reaction { target, symbol: "👍".into(), removed: true }),
            Body::Receipt { read_up_to: 9 },
            Body::Name("n".into()),
            Body::Topic("t".into()),
            Body::File(attachment()),
            Body::Timer { seconds: 86_400 },
        ];
        let mentions = vec![Mention { start: 0, end: 6, user: UserId::from_bytes([7; 16]) }];
        let named = Content { mentions, ..Content::text("蜜蜂 hello", 5).replying_to(target) };
        let later = Content { version: 2, ..Content::text("later", 5).expiring(Expiry::after_reading(60)) };
        let plain = bodies.into_iter().map(|body| Content::new(body, 5));
        plain.chain([named, later]).map(|content| content.to_bytes()).collect()
    }
}

/// The first 32 bytes are the commitment in the message's authenticated data.
pub(super) mod plaintext {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Some((commitment, bytes)) = bytes.split_first_chunk() else { return false };
        let Ok(content) = Plaintext::unwrap_checked(bytes, commitment) else { return false };
        let mut other = *commitment;
        other[0] ^= 1;
        assert!(Plaintext::unwrap_checked(bytes, &other).is_err(), "it opens two commitments");
        let _ = Content::from_bytes(&content);
        true
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let plaintext = Plaintext::wrap(&Content::text("said", 5).to_bytes(), &mut Counted(1));
        vec![[plaintext.commitment().as_slice(), &plaintext.to_bytes()].concat()]
    }
}

pub(super) mod markdown {
    use super::*;

    pub(in crate::fuzz) fn run(bytes: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        check_bounds(&Document::parse(text, &[]));
        let plain = Document::plain(text, &[]);
        check_bounds(&plain);
        if !plain.truncated {
            assert_eq!(words(&plain), text, "a text without markup keeps every character");
        }
        true
    }

    /// The words of a document that is nothing but words.
    fn words(document: &Document) -> String {
        let inlines = document.blocks.iter().flat_map(|block| match block {
            Block::Paragraph(words) => words.as_slice(),
            other => panic!("markup in a plain text: {other:?}"),
        });
        inlines.fold(String::new(), |text, inline| match inline {
            Inline::Text(words) => text + words,
            Inline::Break => text + "\n",
            other => panic!("markup in a plain text: {other:?}"),
        })
    }

    pub(in crate::fuzz) fn seeds() -> Vec<Vec<u8>> {
        let texts = [
            "# Head\n\nwords *emphasis **strong*** ~~gone~~ `code`  \nnext",
            "> quoted\n> > deeper\n\n1. one\n2. two\n   - inner\n\n---\n",
            "```rust\nfn main() {}\n```\n    indented\n",
            "[words](https://example.org \"title\") ![image](x) <https://example.org> <b>html</b> &amp; \\*",
            "[a]: b\n[a] [a][] [c][a] 蜜蜂",
        ];
        texts.map(|text| text.as_bytes().to_vec()).to_vec()
    }
}

const DEPTH_MAX: usize = 16;
/// Nodes of a text; blocks around words come on top.
const NODES_MAX: usize = 8_192;
const TREE_MAX_BYTES: usize = 4 * wire::limits::PAYLOAD_MAX_BYTES;

/// What a message costs whoever shows it is bounded by its length.
fn check_bounds(document: &Document) {
    let mut measure = Measure::default();
    document.blocks.iter().for_each(|block| measure.block(block, 1));
    assert!(measure.depth <= DEPTH_MAX + 2, "{} deep", measure.depth);
    assert!(measure.nodes <= 2 * NODES_MAX, "{} nodes", measure.nodes);
    assert!(measure.bytes <= TREE_MAX_BYTES, "{} bytes", measure.bytes);
}

#[derive(Default)]
struct Measure {
    depth: usize,
    nodes: usize,
    bytes: usize,
}

impl Measure {
    fn block(&mut self, block: &Block, depth: usize) {
        self.node(depth, 0);
        match block {
            Block::Paragraph(words) | Block::Heading { words, .. } => self.inlines(words, depth),
            Block::Code { language, text } => {
                self.bytes += text.len() + language.as_ref().map_or(0, String::len);
            }
            Block::Quote(blocks) => blocks.iter().for_each(|block| self.block(block, depth + 1)),
            Block::List { items, .. } => items.iter().flatten().for_each(|block| self.block(block, depth + 1)),
            Block::Rule => {}
        }
    }

    fn inlines(&mut self, inlines: &[Inline], depth: usize) {
        for inline in inlines {
            match inline {
                Inline::Text(text) | Inline::Code(text) => self.node(depth + 1, text.len()),
                Inline::Mention { words, .. } => self.node(depth + 1, words.len()),
                Inline::Break => self.node(depth + 1, 0),
                Inline::Emphasis(words) | Inline::Strong(words) | Inline::Strikethrough(words) => {
                    self.node(depth + 1, 0);
                    self.inlines(words, depth + 1);
                }
                Inline::Link { target, words } => {
                    self.node(depth + 1, target.len());
                    self.inlines(words, depth + 1);
                }
            }
        }
    }

    fn node(&mut self, depth: usize, bytes: usize) {
        self.depth = self.depth.max(depth);
        self.nodes += 1;
        self.bytes += bytes;
    }
}
