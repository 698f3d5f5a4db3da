// One line of a conversation.

import { Button, Dialog, DialogTrigger, Popover } from "react-aria-components";
import type { Line, What } from "../core/wasm/mifeng_wasm";
import { duration } from "../text";
import { language, say, type Word } from "../words";
import { Blocks, summary } from "./markdown";
import { Avatar, Icon } from "./parts";

const SYMBOLS = ["👍", "❤️", "😂", "🎉", "😮", "🙏"];

export interface LineActions {
  reply: (line: Line) => void;
  edit: (line: Line) => void;
  takeBack: (line: Line) => void;
  react: (line: Line, symbol: string, removed: boolean) => void;
}

interface LineProps {
  line: Line;
  /** The line before is by the same author, and not long ago. */
  follows: boolean;
  group: boolean;
  actions: LineActions;
}

export function LineView({ line, follows, group, actions }: LineProps) {
  const system = systemWords(line);
  if (system !== undefined) return <li className="system">{system}</li>;
  return (
    <li className={`line${line.own ? " own" : ""}${follows ? " follows" : ""}${line.namesMe ? " names-me" : ""}`}>
      {!line.own && group && (follows ? <span className="avatar-space" /> : <Avatar name={line.author ?? "?"} />)}
      <div className="bubble">
        {!line.own && group && !follows && <strong className="author">@{line.author ?? "?"}</strong>}
        {line.replyTo && (
          <p className="quoted">
            <strong>{line.replyTo.author !== undefined && line.replyTo.author !== null ? `@${line.replyTo.author}` : "?"}</strong>{" "}
            {line.replyTo.what ? whatSummary(line.replyTo.what) : "…"}
          </p>
        )}
        <Words what={line.what} />
        <Marks line={line} />
        {line.reactions.length > 0 && <Reactions line={line} actions={actions} />}
      </div>
      {line.id !== undefined && line.id !== null && line.what.type === "words" && <Actions line={line} actions={actions} />}
    </li>
  );
}

function Words({ what }: { what: What }) {
  switch (what.type) {
    case "words":
      return (
        <div className="text">
          <Blocks blocks={what.blocks} />
          {what.truncated && <p>…</p>}
        </div>
      );
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
        <Button
          key={symbol}
          className={`reaction${mine ? " mine" : ""}`}
          aria-label={`${symbol} ${handles.join(", ")}`}
          onPress={() => actions.react(line, symbol, mine)}
        >
          {symbol.slice(0, 16)} {handles.length}
        </Button>
      ))}
    </div>
  );
}

function Actions({ line, actions }: { line: Line; actions: LineActions }) {
  return (
    <div className="actions">
      <DialogTrigger>
        <Button className="quiet icon small" aria-label={say("react")}><Icon name="smile" /></Button>
        <Popover className="popover" placement="top">
          <Dialog className="symbols" aria-label={say("react")}>
            {({ close }) => SYMBOLS.map((symbol) => (
              <Button key={symbol} className="quiet" aria-label={symbol} onPress={() => {
                actions.react(line, symbol, false);
                close();
              }}>
                {symbol}
              </Button>
            ))}
          </Dialog>
        </Popover>
      </DialogTrigger>
      <Button className="quiet icon small" aria-label={say("reply")} onPress={() => actions.reply(line)}>
        <Icon name="reply" />
      </Button>
      {line.own && (
        <DialogTrigger>
          <Button className="quiet icon small" aria-label={say("more")}><Icon name="more" /></Button>
          <Popover className="popover" placement="top">
            <Dialog className="choices" aria-label={say("more")}>
              {({ close }) => (
                <>
                  <Button className="quiet" onPress={() => { close(); actions.edit(line); }}>{say("edit")}</Button>
                  <Button className="quiet danger" onPress={() => { close(); actions.takeBack(line); }}>{say("takeBack")}</Button>
                </>
              )}
            </Dialog>
          </Popover>
        </DialogTrigger>
      )}
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
      return `${say("file")}${what.name}`;
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
