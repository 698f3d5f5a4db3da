//! The tree of a text (`client::content::markdown`), as JavaScript paints it: into elements, never as HTML.

use client::Client;
use client::content::markdown;
use serde::Serialize;
use tsify::Tsify;

/// A part of a text that stands by itself.
#[derive(Debug, Serialize, Tsify)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// Words.
    Paragraph {
        /// They.
        words: Vec<Inline>,
    },
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
        /// The text.
        text: String,
    },
    /// What somebody else said.
    Quote {
        /// It.
        blocks: Vec<Block>,
    },
    /// A list.
    List {
        /// The first number of an ordered list.
        start: Option<f64>,
        /// What is in it.
        items: Vec<Vec<Block>>,
    },
    /// A line across.
    Rule,
}

/// A part of a line.
#[derive(Debug, Serialize, Tsify)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Inline {
    /// Words.
    Text {
        /// They.
        text: String,
    },
    /// Emphasised.
    Emphasis {
        /// What.
        words: Vec<Inline>,
    },
    /// Strongly emphasised.
    Strong {
        /// What.
        words: Vec<Inline>,
    },
    /// Struck through.
    Strikethrough {
        /// What.
        words: Vec<Inline>,
    },
    /// Text as it is.
    Code {
        /// It.
        text: String,
    },
    /// A link. Show the target: the words may say something else.
    Link {
        /// Where it leads. Anything can stand here.
        target: String,
        /// Its words; they can be empty.
        words: Vec<Inline>,
    },
    /// A person, by the handle that this device knows them by.
    Mention {
        /// Who.
        user: String,
        /// The handle.
        handle: String,
    },
    /// A new line.
    Break,
}

/// The tree of a document. The author of a message chose the words of a mention; shown is who is really meant.
pub(crate) fn blocks(blocks: &[markdown::Block], client: &Client) -> Result<Vec<Block>, client::Error> {
    blocks.iter().map(|one| block(one, client)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "JavaScript has no other numbers; nobody counts to 2^53 in a list")]
fn block(block: &markdown::Block, client: &Client) -> Result<Block, client::Error> {
    use markdown::Block as From;
    Ok(match block {
        From::Paragraph(words) => Block::Paragraph { words: inlines(words, client)? },
        From::Heading { level, words } => Block::Heading { level: *level, words: inlines(words, client)? },
        From::Code { language, text } => Block::Code { language: language.clone(), text: text.clone() },
        From::Quote(inner) => Block::Quote { blocks: blocks(inner, client)? },
        From::List { start, items } => {
            let items = items.iter().map(|item| blocks(item, client)).collect::<Result<_, _>>()?;
            Block::List { start: start.map(|start| start as f64), items }
        }
        From::Rule => Block::Rule,
    })
}

fn inlines(words: &[markdown::Inline], client: &Client) -> Result<Vec<Inline>, client::Error> {
    words.iter().map(|one| inline(one, client)).collect()
}

fn inline(inline: &markdown::Inline, client: &Client) -> Result<Inline, client::Error> {
    use markdown::Inline as From;
    Ok(match inline {
        From::Text(text) => Inline::Text { text: text.clone() },
        From::Emphasis(words) => Inline::Emphasis { words: inlines(words, client)? },
        From::Strong(words) => Inline::Strong { words: inlines(words, client)? },
        From::Strikethrough(words) => Inline::Strikethrough { words: inlines(words, client)? },
        From::Code(text) => Inline::Code { text: text.clone() },
        From::Link { target, words } => Inline::Link { target: target.clone(), words: inlines(words, client)? },
        From::Mention { user, .. } => Inline::Mention { user: user.to_string(), handle: client.handle_of(*user)? },
        From::Break => Inline::Break,
    })
}
