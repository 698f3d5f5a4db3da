// One conversation: its head, its lines, and what is being written.

import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent } from "react";
import { Button, TextArea, TextField } from "react-aria-components";
import type { Account, Conversation, Line } from "../core/wasm/mifeng_wasm";
import { language, say } from "../words";
import { session, useAnswer, useDo, useEvents } from "./client";
import { Members, Safety } from "./dialogs";
import { choose } from "./home";
import { LineView, whatSummary, type LineActions } from "./line";
import { Avatar, Icon } from "./parts";

const PAGE = 60;
const TOGETHER_MS = 5 * 60_000;

interface ChatProps {
  conversation: Conversation;
  account: Account;
  again: () => void;
}

/** A message that the next one refers to. */
interface Reference {
  kind: "reply" | "edit";
  line: Line;
}

export function Chat({ conversation, account, again }: ChatProps) {
  const { id, group, state } = conversation;
  const [limit, setLimit] = useState(PAGE);
  const [lines, linesAgain] = useAnswer(
    (event) => event.type === "connection" || ("conversation" in event && event.conversation === id && event.type !== "typing"),
    "lines", id, limit,
  );
  const [reference, setReference] = useState<Reference>();
  const perform = useDo();
  useRead(conversation, lines?.length ?? 0, again);
  const actions: LineActions = {
    reply: (line) => setReference({ kind: "reply", line }),
    edit: (line) => setReference({ kind: "edit", line }),
    takeBack: (line) => void perform("deleteMessage", id, line.id ?? "").then(linesAgain),
    react: (line, symbol, removed) => void perform("react", id, line.id ?? "", symbol, removed).then(linesAgain),
  };
  const changed = () => {
    linesAgain();
    again();
  };
  return (
    <main className="chat">
      <ChatHead conversation={conversation} account={account} />
      <Warnings conversation={conversation} />
      <Lines lines={lines} group={group} actions={actions} onEarlier={lines && lines.length >= limit ? () => setLimit(limit * 2) : undefined} />
      <Typing conversation={id} own={account.user} />
      {state === "left" ? (
        <p className="dim closed">{say("left")}</p>
      ) : (
        <Composer key={id} conversation={id} reference={reference} setReference={setReference} onDone={changed} />
      )}
    </main>
  );
}

/** What is on a screen that a person looks at was read. */
function useRead({ id, unread }: Conversation, shown: number, again: () => void): void {
  useEffect(() => {
    const read = () => {
      if (unread > 0 && shown > 0 && document.visibilityState === "visible") {
        session.call("markRead", id).then(again, () => undefined);
      }
    };
    read();
    document.addEventListener("visibilitychange", read);
    return () => document.removeEventListener("visibilitychange", read);
  }, [id, unread, shown]);
}

function ChatHead({ conversation, account }: { conversation: Conversation; account: Account }) {
  const [dialog, setDialog] = useState<"members" | "safety">();
  const { title, topic, group, peer, verification } = conversation;
  return (
    <header className="chat-head">
      <Button className="quiet icon back" aria-label={say("back")} onPress={() => choose("")}><Icon name="back" /></Button>
      <Avatar name={title} group={group} />
      <div className="who">
        <h1>{group ? title : `@${title}`}</h1>
        {topic !== undefined && topic !== null && topic !== "" && <p className="dim">{topic}</p>}
        {verification === "verified" && <p className="verified">{say("verified")}</p>}
      </div>
      {!group && (
        <Button className="quiet icon" aria-label={say("safety")} onPress={() => setDialog("safety")}><Icon name="shield" /></Button>
      )}
      <Button className="quiet icon" aria-label={say("members")} onPress={() => setDialog("members")}><Icon name="people" /></Button>
      <Members conversation={conversation} own={account.user} isOpen={dialog === "members"} onClose={() => setDialog(undefined)} />
      {peer !== undefined && peer !== null && <Safety user={peer} isOpen={dialog === "safety"} onClose={() => setDialog(undefined)} />}
    </header>
  );
}

function Warnings({ conversation: { forked, undecryptable, verification, state } }: { conversation: Conversation }) {
  const changed = verification === "key_changed" || verification === "devices_changed";
  return (
    <div className="warnings">
      {state === "starting" && <p>{say("starting")}</p>}
      {state === "entering" && <p>{say("entering")}</p>}
      {forked && <p className="grave" role="alert">{say("forked")}</p>}
      {changed && <p className="grave" role="alert">{say("keyChanged")}</p>}
      {undecryptable > 0 && <p className="grave">{undecryptable} {say("undecryptable")}</p>}
    </div>
  );
}

interface LinesProps {
  lines: Line[] | undefined;
  group: boolean;
  actions: LineActions;
  onEarlier: (() => void) | undefined;
}

function Lines({ lines, group, actions, onEarlier }: LinesProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const fromEnd = useRef(0);
  useLayoutEffect(() => {
    const box = scroller.current;
    // Who reads further up stays there; who is at the end stays at the end.
    if (box) box.scrollTop = atEnd.current ? box.scrollHeight : box.scrollHeight - fromEnd.current;
  }, [lines]);
  const scrolled = () => {
    const box = scroller.current;
    if (!box) return;
    fromEnd.current = box.scrollHeight - box.scrollTop;
    atEnd.current = fromEnd.current - box.clientHeight < 40;
  };
  return (
    <div className="scroller" ref={scroller} onScroll={scrolled} tabIndex={0} role="log" aria-label={say("message")}>
      {onEarlier && <Button className="quiet earlier" onPress={onEarlier}>{say("earlier")}</Button>}
      <ol className="lines">
        {lines?.map((line, at) => {
          const before = lines[at - 1];
          return (
            <DatedLine key={line.id ?? `seq ${line.seq}`} line={line} before={before} group={group} actions={actions} />
          );
        })}
      </ol>
      {lines?.length === 0 && <p className="dim empty">{say("nothingYet")}</p>}
    </div>
  );
}

function DatedLine({ line, before, group, actions }: { line: Line; before: Line | undefined; group: boolean; actions: LineActions }) {
  const day = new Date(line.at).toDateString();
  const isNewDay = !before || new Date(before.at).toDateString() !== day;
  const follows = !isNewDay && before.author === line.author && line.at - before.at < TOGETHER_MS && before.what.type !== "members" && before.what.type !== "name";
  return (
    <>
      {isNewDay && <li className="day">{new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(line.at)}</li>}
      <LineView line={line} follows={follows} group={group} actions={actions} />
    </>
  );
}

function Typing({ conversation, own }: { conversation: string; own: string }) {
  const [typing, setTyping] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEvents((event) => {
    if (!("conversation" in event) || event.conversation !== conversation) return;
    clearTimeout(timer.current);
    const writes = event.type === "typing" && event.user !== own;
    if (event.type === "typing" && writes) timer.current = setTimeout(() => setTyping(false), event.until - Date.now());
    if (writes || event.type === "line") setTyping(writes);
  });
  return <p className="typing dim" aria-live="polite">{typing ? `… ${say("typing")}` : ""}</p>;
}

interface ComposerProps {
  conversation: string;
  reference: Reference | undefined;
  setReference: (reference: Reference | undefined) => void;
  onDone: () => void;
}

function Composer({ conversation, reference, setReference, onDone }: ComposerProps) {
  const [text, setText] = useDraft(conversation);
  const field = useRef<HTMLTextAreaElement>(null);
  const perform = useDo();
  useEffect(() => {
    if (reference?.kind === "edit") setText(reference.line.source);
    field.current?.focus();
  }, [reference]);
  const send = async () => {
    const words = text.trim();
    if (words === "") return;
    const target = reference?.line.id ?? undefined;
    const done =
      reference?.kind === "edit"
        ? await perform("edit", conversation, target ?? "", words)
        : await perform("send", conversation, words, target);
    if (!done) return;
    setText("");
    setReference(undefined);
    onDone();
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      void send();
    }
    if (event.key === "Escape" && reference) {
      setReference(undefined);
      if (reference.kind === "edit") setText("");
    }
  };
  return (
    <div className="composer">
      {reference && (
        <div className="reference">
          <span>
            <strong>{say(reference.kind === "edit" ? "editing" : "replyingTo")}</strong> {whatSummary(reference.line.what)}
          </span>
          <Button className="quiet icon small" aria-label={say("cancel")} onPress={() => setReference(undefined)}><Icon name="close" /></Button>
        </div>
      )}
      <form onSubmit={(event) => { event.preventDefault(); void send(); }}>
        <TextField aria-label={say("write")} value={text} onKeyDown={key} onChange={(text) => {
          setText(text);
          if (text !== "") session.call("typing", conversation).catch(() => undefined);
        }}>
          <TextArea ref={field} rows={Math.min(8, text.split("\n").length)} placeholder={say("write")} />
        </TextField>
        <Button type="submit" className="primary icon" aria-label={say("send")} isDisabled={text.trim() === ""}><Icon name="send" /></Button>
      </form>
    </div>
  );
}

const drafts = new Map<string, string>();

/** What was begun in a conversation waits there while the tab is open. */
function useDraft(conversation: string): [string, (text: string) => void] {
  const [text, setText] = useState(() => drafts.get(conversation) ?? "");
  return [text, (text) => {
    drafts.set(conversation, text);
    setText(text);
  }];
}
