// What is being written: by this person, and by others.

import { useEffect, useRef, useState, type ClipboardEvent, type KeyboardEvent } from "react";
import { Button, TextArea, TextField } from "react-aria-components";
import type { Conversation, Line } from "../core/wasm/mifeng_wasm";
import { say } from "../words";
import { AttachButton, TrayView } from "./attach";
import { session, useDo, useEvents } from "./client";
import { whatSummary } from "./line";
import { Icon } from "./parts";
import { RecordButton, RecordingBar, useRecorder } from "./record";
import type { Tray } from "./tray";

/** A pause in writing after which it is kept. */
const KEEP_AFTER_MS = 400;

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
  conversation: Conversation;
  tray: Tray;
  reference: Reference | undefined;
  setReference: (reference: Reference | undefined) => void;
  onDone: () => void;
  again: () => void;
}

export function Composer({ conversation, tray, reference, setReference, onDone, again }: ComposerProps) {
  const { id } = conversation;
  const { text, setText, keep, restore } = useDraft(conversation, again);
  const field = useRef<HTMLTextAreaElement>(null);
  const perform = useDo();
  const recorder = useRecorder(tray);
  const target = reference?.line.id ?? undefined;
  useEffect(() => {
    if (reference?.kind === "edit") setText(reference.line.source);
    field.current?.focus();
  }, [reference]);
  const send = async () => {
    const words = text.trim();
    const hasFiles = tray.waits && reference?.kind !== "edit";
    if (hasFiles) tray.send(words === "" ? target : undefined);
    if (words === "" && hasFiles) {
      setReference(undefined);
      onDone();
    }
    if (words === "") return;
    const done =
      reference?.kind === "edit"
        ? await perform("edit", id, target ?? "", words)
        : await perform("send", id, words, target);
    if (!done) return;
    // What was begun before the edit is there again.
    if (reference?.kind === "edit") restore();
    else keep("", true);
    setReference(undefined);
    onDone();
  };
  const drop = () => {
    setReference(undefined);
    if (reference?.kind === "edit") restore();
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      void send();
    }
    if (event.key === "Escape" && reference) drop();
  };
  const sendSpoken = () => {
    const isReply = reference?.kind === "reply";
    recorder.send(isReply ? target : undefined);
    if (isReply) setReference(undefined);
    onDone();
  };
  /** The bar goes, and what had the focus with it. */
  const stopSpeaking = (act: () => void) => () => {
    act();
    setTimeout(() => field.current?.focus());
  };
  const paste = (event: ClipboardEvent) => {
    // What office programs put there is words, and a picture of them.
    const { files, types } = event.clipboardData;
    if (files.length === 0 || types.includes("text/plain")) return;
    event.preventDefault();
    tray.add(files);
  };
  return (
    <div className="composer">
      <TrayView tray={tray} dropped={() => field.current?.focus()} />
      {reference && (
        <div className="reference">
          <span>
            <strong>{say(reference.kind === "edit" ? "editing" : "replyingTo")}</strong> {whatSummary(reference.line.what)}
          </span>
          <Button className="quiet icon small" aria-label={say("cancel")} onPress={drop}><Icon name="close" /></Button>
        </div>
      )}
      {recorder.recording && <RecordingBar recording={recorder.recording} onDrop={stopSpeaking(recorder.drop)} onSend={stopSpeaking(sendSpoken)} />}
      <form hidden={recorder.recording !== undefined} onSubmit={(event) => { event.preventDefault(); void send(); }}>
        <AttachButton tray={tray} />
        <TextField aria-label={say("write")} value={text} onKeyDown={key} onChange={(text) => {
          if (reference?.kind === "edit") setText(text);
          else keep(text);
          if (text !== "") session.call("typing", id).catch(() => undefined);
        }}>
          <TextArea ref={field} rows={Math.min(8, text.split("\n").length)} placeholder={say("write")} onPaste={paste} />
        </TextField>
        {text.trim() === "" && !tray.waits && reference?.kind !== "edit" ? (
          <RecordButton recorder={recorder} />
        ) : (
          <Button type="submit" className="primary icon" aria-label={say("send")}><Icon name="send" /></Button>
        )}
      </form>
    </div>
  );
}

interface Draft {
  text: string;
  setText: (text: string) => void;
  /** Takes a text as the draft, at once or after a pause. */
  keep: (text: string, now?: boolean) => void;
  /** Shows the draft again. */
  restore: () => void;
}

/** What was begun in a conversation waits there: the client keeps it. */
function useDraft({ id, draft }: Conversation, again: () => void): Draft {
  const [text, setText] = useState(draft);
  const begun = useRef(draft);
  const unsaved = useRef<string>(undefined);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const save = () => {
    clearTimeout(timer.current);
    if (unsaved.current === undefined) return;
    session.call("setDraft", id, unsaved.current).then(again, () => undefined);
    unsaved.current = undefined;
  };
  const keep = (text: string, now = false) => {
    setText(text);
    begun.current = text;
    unsaved.current = text;
    clearTimeout(timer.current);
    if (now) save();
    else timer.current = setTimeout(save, KEEP_AFTER_MS);
  };
  useEffect(() => {
    // A page that is put away may not come back.
    document.addEventListener("visibilitychange", save);
    addEventListener("pagehide", save);
    return () => {
      document.removeEventListener("visibilitychange", save);
      removeEventListener("pagehide", save);
      save();
    };
  }, []);
  return { text, setText, keep, restore: () => setText(begun.current) };
}
