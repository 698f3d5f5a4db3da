// A text's tree, painted into elements. Nothing that somebody wrote becomes markup, an address that is fetched, or a script.

import { Fragment, type ReactNode } from "react";
import type { Block, Inline } from "../core/wasm/mifeng_wasm";
import { honestHost, safeTarget } from "../text";

export function Blocks({ blocks }: { blocks: Block[] }) {
  return blocks.map((block, at) => <BlockView key={at} block={block} />);
}

function BlockView({ block }: { block: Block }) {
  switch (block.type) {
    case "paragraph":
      return <p>{inlines(block.words)}</p>;
    case "heading":
      // A headline of a message is none of the page's.
      return <p className={`heading level-${block.level}`}>{inlines(block.words)}</p>;
    case "code":
      return (
        <pre tabIndex={0}>
          <code>{block.text}</code>
        </pre>
      );
    case "quote":
      return (
        <blockquote>
          <Blocks blocks={block.blocks} />
        </blockquote>
      );
    case "list": {
      const items = block.items.map((item, at) => (
        <li key={at}>
          <Blocks blocks={item} />
        </li>
      ));
      return block.start === undefined || block.start === null ? <ul>{items}</ul> : <ol start={block.start}>{items}</ol>;
    }
    case "rule":
      return <hr />;
  }
}

function inlines(words: Inline[]): ReactNode {
  return words.map((inline, at) => <Fragment key={at}>{inlineView(inline)}</Fragment>);
}

function inlineView(inline: Inline): ReactNode {
  switch (inline.type) {
    case "text":
      return inline.text;
    case "emphasis":
      return <em>{inlines(inline.words)}</em>;
    case "strong":
      return <strong>{inlines(inline.words)}</strong>;
    case "strikethrough":
      return <del>{inlines(inline.words)}</del>;
    case "code":
      return <code>{inline.text}</code>;
    case "link":
      return link(inline.target, inline.words);
    case "mention":
      return <span className="mention">@{inline.handle}</span>;
    case "break":
      return <br />;
  }
}

function link(target: string, words: Inline[]): ReactNode {
  const url = safeTarget(target);
  if (!url) return <>{inlines(words)} <span className="where">({target})</span></>;
  const host = honestHost(url, plain(words));
  return (
    <>
      <a href={url.href} target="_blank" rel="noopener noreferrer nofollow" title={url.href}>
        {words.length > 0 ? inlines(words) : url.href}
      </a>
      {host !== undefined && words.length > 0 && <span className="where"> ({host})</span>}
    </>
  );
}

/** The words alone, in one line. */
export function summary(blocks: Block[]): string {
  return blocks.map(blockWords).filter((words) => words !== "").join(" ").slice(0, 200);
}

function blockWords(block: Block): string {
  switch (block.type) {
    case "paragraph":
    case "heading":
      return plain(block.words);
    case "code":
      return block.text;
    case "quote":
      return summary(block.blocks);
    case "list":
      return block.items.map(summary).join(" ");
    case "rule":
      return "";
  }
}

function plain(words: Inline[]): string {
  const word = (inline: Inline): string => {
    if (inline.type === "text" || inline.type === "code") return inline.text;
    if (inline.type === "mention") return `@${inline.handle}`;
    return inline.type === "break" ? " " : plain(inline.words);
  };
  return words.map(word).join("");
}
