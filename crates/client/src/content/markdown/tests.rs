use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Vec<Block> {
    Document::parse(text, &[]).blocks
}

fn text(words: &str) -> Inline {
    Inline::Text(words.into())
}

#[test]
fn the_common_forms_are_read() {
    assert_eq!(
        parse("a *b* **c** ~~d~~ `e`\nf"),
        [Block::Paragraph(vec![
            text("a "),
            Inline::Emphasis(vec![text("b")]),
            text(" "),
            Inline::Strong(vec![text("c")]),
            text(" "),
            Inline::Strikethrough(vec![text("d")]),
            text(" "),
            Inline::Code("e".into()),
            Inline::Break,
            text("f"),
        ])]
    );
    assert_eq!(parse("## Title"), [Block::Heading { level: 2, words: vec![text("Title")] }]);
    let code = Block::Code { language: Some("rust".into()), text: "let x = 1;\n\nx".into() };
    assert_eq!(parse("```rust\nlet x = 1;\n\nx\n```"), [code]);
    assert_eq!(parse("> q"), [Block::Quote(vec![Block::Paragraph(vec![text("q")])])]);
    assert_eq!(parse("---"), [Block::Rule]);
}

#[test]
fn lists_nest_and_tight_items_are_paragraphs() {
    let paragraph = |words: &str| Block::Paragraph(vec![text(words)]);
    let inner = Block::List { start: None, items: vec![vec![paragraph("b")]] };
    let items = vec![vec![paragraph("a"), inner], vec![paragraph("c")]];
    assert_eq!(parse("3. a\n   - b\n4. c"), [Block::List { start: Some(3), items }]);
}

#[test]
fn c2_html_is_text_and_images_are_links() {
    let flat = |blocks: &[Block]| format!("{blocks:?}");
    for html in ["<script>alert(1)</script>", "a <b onclick=x>b</b>", "<!-- c -->", "<img src=https://x/y.png>"] {
        let blocks = parse(html);
        assert!(blocks.iter().all(|block| matches!(block, Block::Paragraph(_))), "{blocks:?}");
        assert!(flat(&blocks).contains('<'), "{blocks:?}");
    }
    let link = |target: &str, words: &str| Inline::Link { target: target.into(), words: vec![text(words)] };
    assert_eq!(parse("![cat](https://x/cat.png)"), [Block::Paragraph(vec![link("https://x/cat.png", "cat")])]);
    let lie = parse("[https://bank.example](https://thief.example)");
    assert_eq!(lie, [Block::Paragraph(vec![link("https://thief.example", "https://bank.example")])]);
}

#[test]
fn people_are_set_apart_in_their_places() {
    let user = UserId::from_bytes([7; 16]);
    let source = "hi @bob_b, **@bob_b** and `@bob_b`";
    let mention = |start: u32| Mention { start, end: start + 6, user };
    let named = Inline::Mention { user, words: "@bob_b".into() };
    let document = Document::parse(source, &[mention(13), mention(3), mention(26)]);
    assert_eq!(
        document.blocks,
        [Block::Paragraph(vec![
            text("hi "),
            named.clone(),
            text(", "),
            Inline::Strong(vec![named.clone()]),
            text(" and "),
            Inline::Code("@bob_b".into()),
        ])]
    );
    let plain = Document::plain("@bob_b\n@bob_b", &[mention(0), mention(0), mention(7)]);
    assert_eq!(plain.blocks, [Block::Paragraph(vec![named.clone(), Inline::Break, named])]);
    assert!(plain.is_plain() && !document.is_plain());
}

#[test]
fn c4_depth_nodes_and_size_are_bounded() {
    let bombs = [
        ">".repeat(60_000),
        "- ".repeat(30_000),
        format!("{}deep", "> ".repeat(2_000)),
        format!("{}deep", "1. ".repeat(2_000)),
        format!("{}deep{}", "*_".repeat(500), "_*".repeat(500)),
        "*a ".repeat(20_000),
        "**".repeat(30_000),
        "[".repeat(60_000),
        "![".repeat(30_000),
        "`".repeat(60_000),
        "a\n\n".repeat(20_000),
        "&amp;".repeat(12_000),
        format!("[a]: https://x/{}\n\n{}", "y".repeat(30_000), "[a] ".repeat(7_000)),
        "<a ".repeat(20_000),
        "a".repeat(1 << 20),
    ];
    for bomb in bombs {
        let start = std::time::Instant::now();
        check(&Document::parse(&bomb, &[]));
        assert!(start.elapsed().as_secs() < 5, "{}: {:?}", &bomb[..10], start.elapsed());
    }
    assert!(Document::parse(&"a\n\n".repeat(20_000), &[]).truncated);
}

/// Nodes, bytes and depth of a tree, within their bounds.
fn check(document: &Document) {
    let (mut nodes, mut bytes) = (0, 0);
    let deepest = document.blocks.iter().map(|block| measure(block, &mut nodes, &mut bytes)).max().unwrap_or_default();
    assert!(nodes <= 2 * NODES_MAX, "{nodes} nodes");
    assert!(bytes <= TREE_MAX_BYTES, "{bytes} bytes");
    assert!(deepest <= DEPTH_MAX + 2, "{deepest} deep");
}

fn measure(block: &Block, nodes: &mut usize, bytes: &mut usize) -> usize {
    *nodes += 1;
    let depth = match block {
        Block::Paragraph(words) | Block::Heading { words, .. } => measure_words(words, nodes, bytes),
        Block::Code { text, .. } => {
            *bytes += text.len();
            0
        }
        Block::Quote(blocks) => blocks.iter().map(|block| measure(block, nodes, bytes)).max().unwrap_or_default(),
        Block::List { items, .. } => {
            items.iter().flatten().map(|block| measure(block, nodes, bytes)).max().unwrap_or_default() + 1
        }
        Block::Rule => 0,
    };
    depth + 1
}

fn measure_words(words: &[Inline], nodes: &mut usize, bytes: &mut usize) -> usize {
    let depth = |inline: &Inline| {
        *nodes += 1;
        *bytes += inline.len();
        match inline {
            Inline::Emphasis(words)
            | Inline::Strong(words)
            | Inline::Strikethrough(words)
            | Inline::Link { words, .. } => measure_words(words, nodes, bytes) + 1,
            _ => 0,
        }
    };
    words.iter().map(depth).max().unwrap_or_default()
}

/// Pieces that Markdown is made of, in any order.
fn markdown() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("*"),
        Just("**"),
        Just("_"),
        Just("`"),
        Just("```\n"),
        Just("> "),
        Just("- "),
        Just("1. "),
        Just("\n"),
        Just("\n\n"),
        Just("    "),
        Just("["),
        Just("]("),
        Just(")"),
        Just("!["),
        Just("<b>"),
        Just("</b>"),
        Just("&amp;"),
        Just("~~"),
        Just("# "),
        Just("---\n"),
        Just("@bob"),
        Just("蜜蜂"),
        Just("\\"),
        Just("[a]: x\n"),
        Just("\u{202e}"),
        Just("\u{1b}[2J"),
        Just("\0"),
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_a_bounded_tree(text: String) {
        check(&Document::parse(&text, &[]));
        check(&Document::plain(&text, &[]));
    }

    #[test]
    fn any_markup_with_any_mentions_is_a_bounded_tree(
        text in markdown(),
        ranges in prop::collection::vec((0_u32..200, 0_u32..200), 0..8),
    ) {
        let user = UserId::from_bytes([7; 16]);
        let mentions: Vec<_> = ranges.into_iter().map(|(start, end)| Mention { start, end, user }).collect();
        check(&Document::parse(&text, &mentions));
        check(&Document::plain(&text, &mentions));
    }

    #[test]
    fn no_word_of_a_plain_text_is_lost(text in "[a-z蜂 \n]{0,200}") {
        let document = Document::plain(&text, &[]);
        let words: String = document.blocks.iter().map(|block| match block {
            Block::Paragraph(words) => words.iter().map(Inline::words).collect::<String>(),
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(words, text);
        prop_assert!(document.is_plain());
    }
}
