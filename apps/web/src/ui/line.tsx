// One line of a conversation.

import type { Carrier } from "../core/files";
import type { Line, What } from "../core/wasm/mifeng_wasm";
import { clock, duration } from "../text";
import { language, say, type Word } from "../words";
import { FileView } from "./file";
import { Blocks, summary } from "./markdown";
import { Avatar, Icon } from "./parts";

export const SYMBOLS = ["👍", "❤️", "😂", "🎉", "😮", "🙏"];

export interface LineActions {
  reply: (line: Line) => void;
  edit: (line: Line) => void;
  takeBack: (line: Line) => void;
  react: (line: Line, symbol: string, removed: boolean) => void;
}

/** What opens beside a line. */
export type MenuKind = "react" | "more";

interface LineProps {
  conversation: string;
  line: Line;
  /** The line before is by the same author, and not long ago. */
  follows: boolean;
  group: boolean;
  actions: LineActions;
  openMenu: (kind: MenuKind, line: Line, button: Element) => void;
  /** What is open beside it. */
  open: MenuKind | undefined;
  /** It is the line that was looked for. */
  sought: boolean;
}

export function LineView({ conversation, line, follows, group, sought, ...rest }: LineProps) {
  const row = { "data-key": line.id ?? line.place ?? "", "data-place": line.place, tabIndex: -1 };
  const system = systemWords(line);
  if (system !== undefined) return <li {...row} className={`system${sought ? " sought" : ""}`}>{system}</li>;
  const marks = [line.own && "own", follows && "follows", line.namesMe && "names-me", sought && "sought"].filter(Boolean);
  return (
    <li {...row} className={`line ${marks.join(" ")}`}>
      {!line.own && group && (follows ? <span className="avatar-space" /> : <Avatar name={line.author ?? "?"} />)}
      <div className="bubble">
        {!line.own && group && !follows && <strong className="author">@{line.author ?? "?"}</strong>}
        {line.replyTo && (
          <p className="quoted">
            <strong>{line.replyTo.author !== undefined && line.replyTo.author !== null ? `@${line.replyTo.author}` : "?"}</strong>{" "}
            {line.replyTo.what ? whatSummary(line.replyTo.what) : "…"}
          </p>
        )}
        <Words what={line.what} conversation={conversation} message={line.id ?? ""} />
        <Marks line={line} />
        {line.reactions.length > 0 && <Reactions line={line} actions={rest.actions} />}
      </div>
      {line.id !== undefined && line.id !== null && (line.what.type === "words" || line.what.type === "file") && <Actions line={line} {...rest} />}
    </li>
  );
}

function Words({ what, conversation, message }: Carrier & { what: What }) {
  switch (what.type) {
    case "words":
      return (
        <div className="text">
          <Blocks blocks={what.blocks} />
          {what.truncated && <p>…</p>}
        </div>
      );
    case "file":
      return <FileView from={{ conversation, message }} file={what.file} />;
    case "bad":
      return <p className="bad">{say("bad")}: {what.reason}</p>;
    default:
      return <p className="dim">{whatSummary(what)}</p>;
  }
}

function Marks({ line }: { line: Line }) {
  const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }).format(line.at);
  const state: Word | undefined =
    line.state === "failed" ? "failed" : !line.own ? undefined : line.state === "pending" ? "pending" : line.readers > 0 ? "readBy" : "sent";
  return (
    <span className="meta">
      {line.edited && <span>{say("changed")}</span>}
      {line.expires && <Icon name="timer" />}
      <time dateTime={new Date(line.at).toISOString()}>{time}</time>
      {state && <span className={`mark ${line.state}`}>{say(state)}</span>}
    </span>
  );
}

function Reactions({ line, actions }: { line: Line; actions: LineActions }) {
  return (
    <div className="reactions">
      {line.reactions.map(({ symbol, handles, mine }) => (
        <button
          key={symbol}
          type="button"
          className={`reaction${mine ? " mine" : ""}`}
          aria-pressed={mine}
          aria-label={`${symbol} ${handles.join(", ")}`}
          onClick={() => actions.react(line, symbol, mine)}
        >
          {symbol.slice(0, 16)} {handles.length}
        </button>
      ))}
    </div>
  );
}

/** Plain buttons: there are three on every line, and a conversation has many lines. */
function Actions({ line, actions, openMenu, open }: Pick<LineProps, "line" | "actions" | "openMenu" | "open">) {
  const opener = (kind: MenuKind, word: Word, icon: "smile" | "more") => (
    <button
      type="button"
      className="quiet icon small"
      aria-label={say(word)}
      aria-haspopup="dialog"
      aria-expanded={open === kind}
      onClick={({ currentTarget }) => openMenu(kind, line, currentTarget)}
    >
      <Icon name={icon} />
    </button>
  );
  return (
    <div className="actions">
      {opener("react", "react", "smile")}
      <button type="button" className="quiet icon small" aria-label={say("reply")} onClick={() => actions.reply(line)}><Icon name="reply" /></button>
      {line.own && opener("more", "more", "more")}
    </div>
  );
}

/** The line in a few words, for the list and for quotes. */
export function lineSummary(line: Line, group: boolean): string {
  const words = systemWords(line) ?? whatSummary(line.what);
  if (systemWords(line) !== undefined) return words;
  return line.own ? `${say("you")}: ${words}` : group ? `@${line.author ?? "?"}: ${words}` : words;
}

export function whatSummary(what: What): string {
  switch (what.type) {
    case "words":
      return summary(what.blocks);
    case "file":
      if (what.file.voice) return `${say("voice")} ${clock(what.file.voice.durationMs)}`;
      return what.file.preview ? say("picture") : `📎 ${what.file.name}`;
    case "deleted":
    case "expired":
    case "bad":
    case "unknown":
      return say(what.type);
    default:
      return "";
  }
}

/** What happened to the conversation, if that is what the line is about. */
function systemWords({ what, author }: Line): string | undefined {
  const who = `@${author ?? "?"}`;
  switch (what.type) {
    case "name":
      return say("nameSet", { who, what: what.name });
    case "topic":
      return what.topic === "" ? say("topicRemoved", { who }) : say("topicSet", { who, what: what.topic });
    case "timer":
      return what.seconds === 0 ? say("timerRemoved", { who }) : say("timerSet", { who, what: duration(what.seconds, language) });
    case "members": {
      const deeds: [Word, string[]][] = [
        ["added", what.added], ["removedSome", what.removed], ["leftGroup", what.left], ["promoted", what.promoted], ["demoted", what.demoted],
      ];
      const list = (handles: string[]) => new Intl.ListFormat(language).format(handles.map((handle) => `@${handle}`));
      return deeds.filter(([, whom]) => whom.length > 0).map(([word, whom]) => say(word, { who, what: list(whom) })).join(" · ");
    }
    default:
      return undefined;
  }
}
