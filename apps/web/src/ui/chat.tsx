// One conversation: its head, its lines, and what is being written.

import { useEffect, useState } from "react";
import { Button } from "react-aria-components";
import type { Account, Conversation } from "../core/wasm/mifeng_wasm";
import { duration } from "../text";
import { language, say } from "../words";
import { useDropping } from "./attach";
import { session, useDo } from "./client";
import { Composer, Typing, type Reference } from "./composer";
import { Details } from "./details";
import { Safety } from "./dialogs";
import { choose } from "./home";
import type { LineActions } from "./line";
import { Lines, useWindow } from "./lines";
import { Members } from "./members";
import { Avatar, Icon } from "./parts";
import { useTray } from "./tray";

interface ChatProps {
  conversation: Conversation;
  account: Account;
  /** The place of the line that is looked for; without it, the end is shown. */
  at: string | undefined;
  again: () => void;
}

export function Chat({ conversation, account, at, again }: ChatProps) {
  const { id, group, state } = conversation;
  const view = useWindow(id, at);
  const [reference, setReference] = useState<Reference>();
  const perform = useDo();
  useRead(conversation, view.window?.later === false && view.window.lines.length > 0, again);
  const actions: LineActions = {
    reply: (line) => setReference({ kind: "reply", line }),
    edit: (line) => setReference({ kind: "edit", line }),
    takeBack: (line) => void perform("deleteMessage", id, line.id ?? "").then(view.again),
    react: (line, symbol, removed) => void perform("react", id, line.id ?? "", symbol, removed).then(view.again),
  };
  const changed = () => {
    view.toEnd();
    again();
  };
  const tray = useTray(id);
  const dropping = useDropping(tray, state !== "left");
  useEffect(() => {
    // What waited is a line now, on its way.
    view.again();
    again();
  }, [tray.items.length]);
  return (
    <main className={`chat${dropping.isOver ? " over" : ""}`} {...dropping.on}>
      <ChatHead conversation={conversation} account={account} again={again} />
      <Warnings conversation={conversation} />
      <Lines conversation={id} view={view} group={group} actions={actions} />
      {dropping.isOver && <p className="drop-here" role="status">{say("dropHere")}</p>}
      <Typing conversation={id} own={account.user} />
      {state === "left" ? (
        <p className="dim closed">{say("left")}</p>
      ) : (
        <Composer key={id} tray={tray} conversation={conversation} again={again} reference={reference} setReference={setReference} onDone={changed} />
      )}
    </main>
  );
}

/** What is on a screen that a person looks at was read. */
function useRead({ id, unread }: Conversation, shown: boolean, again: () => void): void {
  useEffect(() => {
    const read = () => {
      if (unread > 0 && shown && document.visibilityState === "visible") {
        session.call("markRead", id).then(again, () => undefined);
      }
    };
    read();
    document.addEventListener("visibilitychange", read);
    return () => document.removeEventListener("visibilitychange", read);
  }, [id, unread, shown]);
}

function ChatHead({ conversation, account, again }: Omit<ChatProps, "at">) {
  const [dialog, setDialog] = useState<"members" | "safety" | "details">();
  const close = () => setDialog(undefined);
  const { title, topic, group, peer, verification, timer } = conversation;
  return (
    <header className="chat-head">
      <Button className="quiet icon back" aria-label={say("back")} onPress={() => choose("")}><Icon name="back" /></Button>
      <Avatar name={title} group={group} />
      <div className="who">
        <h1>{group ? title : `@${title}`}</h1>
        {topic !== undefined && topic !== null && topic !== "" && <p className="dim">{topic}</p>}
        {timer > 0 && <p className="dim timer"><Icon name="timer" /> {duration(timer, language)}</p>}
        {verification === "verified" && <p className="verified">{say("verified")}</p>}
      </div>
      {!group && (
        <Button className="quiet icon" aria-label={say("safety")} onPress={() => setDialog("safety")}><Icon name="shield" /></Button>
      )}
      <Button className="quiet icon" aria-label={say("members")} onPress={() => setDialog("members")}><Icon name="people" /></Button>
      <Button className="quiet icon" aria-label={say("details")} onPress={() => setDialog("details")}><Icon name="tune" /></Button>
      <Members conversation={conversation} own={account.user} isOpen={dialog === "members"} onClose={close} />
      <Details conversation={conversation} again={again} isOpen={dialog === "details"} onClose={close} />
      {peer !== undefined && peer !== null && <Safety user={peer} isOpen={dialog === "safety"} onClose={close} />}
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
