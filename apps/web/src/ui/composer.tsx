// What is being written: by this person, and by others.

import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { Button, TextArea, TextField } from "react-aria-components";
import type { Line } from "../core/wasm/mifeng_wasm";
import { say } from "../words";
import { session, useDo, useEvents } from "./client";
import { whatSummary } from "./line";
import { Icon } from "./parts";

/** A message that the next one refers to. */
export interface Reference {
  kind: "reply" | "edit";
  line: Line;
}

export function Typing({ conversation, own }: { conversation: string; own: string }) {
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

export function Composer({ conversation, reference, setReference, onDone }: ComposerProps) {
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
