// A conversation's settings: for everybody what it is called, what it is about and how long its messages stay; for this device whether
// it is pinned or muted; for all devices of the person whether it goes into their archive.

import { useId, useState, type FormEvent } from "react";
import { Button, Form } from "react-aria-components";
import type { Conversation } from "../core/wasm/mifeng_wasm";
import { duration } from "../text";
import { language, say } from "../words";
import { useDo } from "./client";
import type { SheetProps } from "./dialogs";
import { Field, Sheet, Toggle } from "./parts";

/** Seconds after reading that can be chosen. */
const TIMERS = [0, 300, 3_600, 86_400, 604_800, 2_419_200];

interface DetailsProps {
  conversation: Conversation;
  again: () => void;
}

export function Details({ isOpen, onClose, ...rest }: DetailsProps & SheetProps) {
  return (
    <Sheet title={say("details")} isOpen={isOpen} onClose={onClose}>
      <Local {...rest} />
      <Timer {...rest} />
      {rest.conversation.state !== "left" && <Titles {...rest} onClose={onClose} />}
    </Sheet>
  );
}

function Local({ conversation: { id, pinned, muted, keptOut }, again }: DetailsProps) {
  const perform = useDo();
  return (
    <>
      <Toggle label={say("pinned")} isSelected={pinned} onChange={(pinned) => void perform("setPinned", id, pinned).then(again)} />
      <Toggle label={say("muted")} isSelected={muted} onChange={(muted) => void perform("setMuted", id, muted).then(again)} />
      <Toggle label={say("inArchive")} isSelected={!keptOut} onChange={(kept) => void perform("keepOutOfArchive", id, !kept).then(again)} />
      <p className="dim">{say("inArchiveHint")}</p>
    </>
  );
}

function Titles({ conversation: { id, group, title, topic }, again, onClose }: DetailsProps & { onClose: () => void }) {
  const [name, setName] = useState(title);
  const [about, setAbout] = useState(topic ?? "");
  const perform = useDo();
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const isNamed = !group || name.trim() === title || (await perform("rename", id, name));
    const isDone = isNamed && (about.trim() === (topic ?? "") || (await perform("setTopic", id, about)));
    again();
    if (isDone) onClose();
  };
  return (
    <Form onSubmit={(event) => void save(event)}>
      {group && <Field label={say("groupName")} value={name} onChange={setName} isRequired autoComplete="off" />}
      <Field label={say("topic")} hint={say("topicHint")} value={about} onChange={setAbout} autoComplete="off" />
      <Button type="submit" className="primary">{say("save")}</Button>
    </Form>
  );
}

function Timer({ conversation: { id, timer, state }, again }: DetailsProps) {
  const perform = useDo();
  const field = useId();
  const known = TIMERS.includes(timer) ? TIMERS : [...TIMERS, timer];
  return (
    <div className="field">
      <label htmlFor={field}>{say("disappearing")}</label>
      <select id={field} value={timer} disabled={state === "left"} onChange={({ target }) => void perform("setTimer", id, Number(target.value)).then(again)}>
        {known.map((seconds) => (
          <option key={seconds} value={seconds}>{seconds === 0 ? say("off") : say("afterReading", { time: duration(seconds, language) })}</option>
        ))}
      </select>
    </div>
  );
}
