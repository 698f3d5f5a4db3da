//! Markdown as a tree. On the wire it stays text; whoever shows a message makes the tree and paints it in their own way: the
//! command line in colours, a browser in elements. No HTML is interpreted and nothing is fetched: HTML is text, an image is a
//! link, a link carries its target to be shown.
//!
//! A message can come from anybody: text, depth, number of nodes and size of the tree are bounded, and what is beyond a bound
//! is flattened or left out ([`Document::truncated`]).

use super::Mention;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TextMergeWithOffset};
use std::ops::Range;
use wire::UserId;
use wire::sabotage::{Defence, stands};

/// So much of a text is looked at: all of any message that fits into one.
const TEXT_MAX_BYTES: usize = wire::limits::PAYLOAD_MAX_BYTES;
/// Deeper than this, structure becomes text.
const DEPTH_MAX: usize = 16;
const NODES_MAX: usize = 8_192;
/// A text can name one long target many times.
const TREE_MAX_BYTES: usize = 4 * TEXT_MAX_BYTES;

/// A text as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// From the top.
    pub blocks: Vec<Block>,
    /// It was larger than a tree may be; the rest is left out.
    pub truncated: bool,
}

/// A part of a text that stands by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Words.
    Paragraph(Vec<Inline>),
    /// A headline.
    Heading {
        /// From 1 to 6.
        level: u8,
        /// Its words.
        words: Vec<Inline>,
    },
    /// Text as it is.
    Code {
        /// As the author says.
        language: Option<String>,
        /// The text, without the newline at its end.
        text: String,
    },
    /// What somebody else said.
    Quote(Vec<Block>),
    /// A list.
    List {
        /// The first number of an ordered list.
        start: Option<u64>,
        /// What is in it.
        items: Vec<Vec<Block>>,
    },
    /// A line across.
    Rule,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// Words.
    Text(String),
    /// Emphasised.
    Emphasis(Vec<Inline>),
    /// Strongly emphasised.
    Strong(Vec<Inline>),
    /// Struck through.
    Strikethrough(Vec<Inline>),
    /// Text as it is.
    Code(String),
    /// A link, or an image that is not fetched. Show the target: the words may say something else.
    Link {
        /// Where it leads.
        target: String,
        /// Its words; they can be empty.
        words: Vec<Inline>,
    },
    /// A person. Show *their* handle: the author chose the words.
    Mention {
        /// Who.
        user: UserId,
        /// As it stands in the text.
        words: String,
    },
    /// A new line.
    Break,
}

impl Document {
    /// The tree of a Markdown text (CommonMark, and strikethrough).
    pub fn parse(text: &str, mentions: &[Mention]) -> Self {
        let (text, cut) = bounded(text);
        let mut builder = Builder::new(text, mentions);
        let parser = Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH).into_offset_iter();
        for (event, range) in TextMergeWithOffset::new(parser) {
            if !builder.event(event, range) {
                break;
            }
        }
        let mut document = builder.finish();
        document.truncated |= cut;
        document
    }

    /// A text without markup as a tree.
    pub fn plain(text: &str, mentions: &[Mention]) -> Self {
        let (text, cut) = bounded(text);
        let mut builder = Builder::new(text, mentions);
        let mut start = 0;
        for line in text.split('\n') {
            if start > 0 {
                builder.inline(Inline::Break);
            }
            builder.text(line, start..start + line.len());
            start += line.len() + 1;
        }
        let mut document = builder.finish();
        document.truncated |= cut;
        document
    }

    /// Whether it is nothing but words.
    pub fn is_plain(&self) -> bool {
        let is_word = |inline: &Inline| matches!(inline, Inline::Text(_) | Inline::Mention { .. } | Inline::Break);
        self.blocks.iter().all(|block| matches!(block, Block::Paragraph(words) if words.iter().all(is_word)))
    }
}

fn bounded(text: &str) -> (&str, bool) {
    let end = text.floor_char_boundary(TEXT_MAX_BYTES);
    text.get(..end).map_or((text, false), |kept| (kept, kept.len() < text.len()))
}

/// A node whose end has not come.
struct Open {
    node: Node,
    blocks: Vec<Block>,
    items: Vec<Vec<Block>>,
    inlines: Vec<Inline>,
}

enum Node {
    Root,
    Paragraph,
    Heading(u8),
    Code(Option<String>),
    Quote,
    List(Option<u64>),
    Item,
    Emphasis,
    Strong,
    Strikethrough,
    Link(String),
}

struct Builder<'t> {
    source: &'t str,
    mentions: Vec<Mention>,
    open: Vec<Open>,
    /// Nodes beyond the greatest depth, whose text goes to the node that holds them.
    flattened: usize,
    nodes: usize,
    bytes: usize,
    truncated: bool,
}

impl<'t> Builder<'t> {
    fn new(source: &'t str, mentions: &[Mention]) -> Self {
        let mut mentions = mentions.to_vec();
        mentions.sort_by_key(|mention| mention.start);
        let open = vec![Open::new(Node::Root)];
        Self { source, mentions, open, flattened: 0, nodes: 0, bytes: 0, truncated: false }
    }

    /// Takes what comes next. `false`: no more fits.
    fn event(&mut self, event: Event<'_>, range: Range<usize>) -> bool {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(_) if self.flattened > 0 => self.flattened -= 1,
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(&text, range),
            Event::Code(code) => self.inline(Inline::Code(code.into_string())),
            Event::SoftBreak | Event::HardBreak => self.inline(Inline::Break),
            Event::Rule => self.block(Block::Rule),
            Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.inline(Inline::Text(text.into_string())),
            Event::TaskListMarker(_) => {}
        }
        !self.truncated
    }

    fn start(&mut self, tag: Tag<'_>) {
        let node = match tag {
            Tag::Heading { level, .. } => Node::Heading(level as u8),
            Tag::CodeBlock(CodeBlockKind::Fenced(language)) => {
                Node::Code(Some(language.into_string()).filter(|language| !language.is_empty()))
            }
            Tag::CodeBlock(CodeBlockKind::Indented) => Node::Code(None),
            Tag::BlockQuote(_) => Node::Quote,
            Tag::List(start) => Node::List(start),
            Tag::Item => Node::Item,
            Tag::Emphasis => Node::Emphasis,
            Tag::Strong => Node::Strong,
            Tag::Strikethrough => Node::Strikethrough,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => Node::Link(dest_url.into_string()),
            _ => Node::Paragraph,
        };
        if (self.open.len() > DEPTH_MAX || self.flattened > 0) && stands(Defence::MarkupDepth) {
            self.flattened += 1;
            return;
        }
        self.open.push(Open::new(node));
    }

    fn end(&mut self) {
        if self.open.len() < 2 {
            return;
        }
        let Some(mut open) = self.open.pop() else { return };
        match open.node {
            Node::Heading(level) => self.block(Block::Heading { level, words: open.inlines }),
            Node::Code(language) => {
                let mut text: String = open.inlines.iter().map(Inline::words).collect();
                text.truncate(text.trim_end_matches('\n').len());
                self.block(Block::Code { language, text });
            }
            Node::Quote => self.block(Block::Quote(open.into_blocks())),
            Node::List(start) => self.block(Block::List { start, items: open.items }),
            Node::Item => match self.open.last_mut() {
                Some(list) => list.items.push(open.into_blocks()),
                None => self.truncated = true,
            },
            Node::Emphasis => self.inline(Inline::Emphasis(open.inlines)),
            Node::Strong => self.inline(Inline::Strong(open.inlines)),
            Node::Strikethrough => self.inline(Inline::Strikethrough(open.inlines)),
            Node::Link(target) => self.inline(Inline::Link { target, words: open.inlines }),
            Node::Root | Node::Paragraph if open.inlines.is_empty() => {}
            Node::Root | Node::Paragraph => self.block(Block::Paragraph(std::mem::take(&mut open.inlines))),
        }
    }

    /// Words at a place of the source: people named in it are set apart.
    fn text(&mut self, text: &str, range: Range<usize>) {
        let mut rest = 0;
        // An escape or entity makes the words differ from the source: then there is no telling where in it a name is.
        if self.source.get(range.clone()) == Some(text) {
            for Mention { start, end, user } in self.mentions.clone() {
                let (start, end) = (start as usize, end as usize);
                let Some(at) = start.checked_sub(range.start).filter(|at| *at >= rest && end <= range.end) else {
                    continue;
                };
                let (Some(before), Some(words)) = (text.get(rest..at), self.source.get(start..end)) else { continue };
                if words.is_empty() {
                    continue;
                }
                self.words(before);
                self.inline(Inline::Mention { user, words: words.to_owned() });
                rest = end - range.start;
            }
        }
        self.words(text.get(rest..).unwrap_or_default());
    }

    fn words(&mut self, text: &str) {
        if !text.is_empty() {
            self.inline(Inline::Text(text.to_owned()));
        }
    }

    fn inline(&mut self, inline: Inline) {
        if self.fits(inline.len())
            && let Some(open) = self.open.last_mut()
        {
            open.inlines.push(inline);
        }
    }

    fn block(&mut self, block: Block) {
        let len = match &block {
            Block::Code { language, text } => language.as_ref().map_or(0, String::len) + text.len(),
            _ => 0,
        };
        if self.fits(len)
            && let Some(open) = self.open.last_mut()
        {
            open.flush();
            open.blocks.push(block);
        }
    }

    fn fits(&mut self, bytes: usize) -> bool {
        (self.nodes, self.bytes) = (self.nodes + 1, self.bytes + bytes);
        self.truncated |= self.nodes > NODES_MAX || self.bytes > TREE_MAX_BYTES;
        !self.truncated
    }

    fn finish(mut self) -> Document {
        let truncated = self.truncated;
        // What is open at a cut is kept as far as it came.
        (self.truncated, self.nodes, self.bytes) = (false, 0, 0);
        while self.open.len() > 1 {
            self.end();
        }
        let blocks = self.open.pop().map(Open::into_blocks).unwrap_or_default();
        Document { blocks, truncated }
    }
}

impl Open {
    const fn new(node: Node) -> Self {
        Self { node, blocks: Vec::new(), items: Vec::new(), inlines: Vec::new() }
    }

    /// Words of a tight list item stand in it without a paragraph.
    fn flush(&mut self) {
        if !self.inlines.is_empty() {
            self.blocks.push(Block::Paragraph(std::mem::take(&mut self.inlines)));
        }
    }

    fn into_blocks(mut self) -> Vec<Block> {
        self.flush();
        self.blocks
    }
}

impl Inline {
    fn words(&self) -> &str {
        match self {
            Self::Text(text) | Self::Code(text) | Self::Mention { words: text, .. } => text,
            Self::Break => "\n",
            _ => "",
        }
    }

    /// Bytes of its own text.
    fn len(&self) -> usize {
        match self {
            Self::Link { target, .. } => target.len(),
            inline => inline.words().len(),
        }
    }
}

#[cfg(test)]
mod tests;
