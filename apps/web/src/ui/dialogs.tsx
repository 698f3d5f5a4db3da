// What opens over a screen: a new conversation, a safety number, linking a device, about.

import { useEffect, useState, type FormEvent } from "react";
import { Button, Form } from "react-aria-components";
import type { Account, Event } from "../core/wasm/mifeng_wasm";
import { handles } from "../text";
import { say } from "../words";
import { session, useAnswer, useDo, useEvents } from "./client";
import { choose } from "./home";
import { Field, Sheet } from "./parts";

export interface SheetProps {
  isOpen: boolean;
  onClose: () => void;
}

const LOOKUP_MS = 15_000;

/** Looks people up; their ids, in the same order. */
export async function findPeople(names: string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const name of names) {
    const { user, refused } = await findPerson(name);
    if (user === undefined || user === null) throw new Error(refused ?? `${say("findNobody")}@${name}`);
    ids.push(user);
  }
  return ids;
}

function findPerson(handle: string): Promise<Extract<Event, { type: "contact" }>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(say("offline"))), LOOKUP_MS);
    const stop = session.listen((event) => {
      if (event.type !== "contact" || event.handle.toLowerCase() !== handle.toLowerCase()) return;
      clearTimeout(timer);
      stop();
      resolve(event);
    });
    session.call("findUser", handle).catch(reject);
  });
}

export function NewConversation({ isOpen, onClose }: SheetProps) {
  return (
    <Sheet title={say("newConversation")} isOpen={isOpen} onClose={onClose}>
      <NewForm onClose={onClose} />
    </Sheet>
  );
}

function NewForm({ onClose }: { onClose: () => void }) {
  const [people, setPeople] = useState("");
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<string>();
  const isGroup = name.trim() !== "" || handles(people).length > 1;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setWrong(undefined);
    try {
      const users = await findPeople(handles(people));
      const id = isGroup ? await session.call("startGroup", name, users) : await session.call("startDirect", users[0] ?? "");
      onClose();
      choose(id);
    } catch (error) {
      setWrong(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <Form onSubmit={(event) => void submit(event)}>
      <Field label={say("newTo")} hint={say("newToHint")} value={people} onChange={setPeople} isRequired autoFocus autoComplete="off" />
      <Field label={say("groupName")} hint={say("groupNameHint")} value={name} onChange={setName} isRequired={isGroup} autoComplete="off" />
      {wrong !== undefined && <p className="wrong" role="alert">{wrong}</p>}
      <Button type="submit" className="primary" isPending={busy}>{busy ? say("joining") : say("create")}</Button>
    </Form>
  );
}

export function Safety({ user, isOpen, onClose }: SheetProps & { user: string }) {
  return (
    <Sheet title={say("safety")} isOpen={isOpen} onClose={onClose}>
      <SafetyNumber user={user} />
    </Sheet>
  );
}

function SafetyNumber({ user }: { user: string }) {
  const [contact, again] = useAnswer(() => false, "contact", user);
  const perform = useDo();
  if (!contact) return null;
  const isVerified = contact.verification === "verified";
  return (
    <>
      <p>{say("safetyHelp")}</p>
      <output className="safety">{contact.safetyNumber}</output>
      {contact.refused !== undefined && contact.refused !== null && <p className="wrong" role="alert">{contact.refused}</p>}
      <Button className={isVerified ? "quiet" : "primary"} onPress={() => void perform("setVerified", user, !isVerified).then(again)}>
        {say(isVerified ? "comparedNot" : "compared")}
      </Button>
    </>
  );
}

export function LinkDevice({ isOpen, onClose }: SheetProps) {
  return (
    <Sheet title={say("link")} isOpen={isOpen} onClose={onClose}>
      <LinkForm />
    </Sheet>
  );
}

function LinkForm() {
  const [code, setCode] = useState("");
  const [offer, setOffer] = useState<Extract<Event, { type: "link_offered" }>>();
  const [outcome, setOutcome] = useState<string>();
  const perform = useDo();
  useEvents((event) => {
    if (event.type === "link_offered") setOffer(event);
    if (event.type === "link_confirmed") setOutcome(`${say("linked")}${event.name}`);
    if (event.type === "refused") setOutcome(event.reason);
  });
  if (outcome !== undefined) return <p role="status">{outcome}</p>;
  if (offer) {
    return (
      <>
        <p><strong>{offer.name}</strong></p>
        <p>{say("compareNumber")}</p>
        <output className="number">{offer.number}</output>
        <Button className="primary" onPress={() => void perform("confirmLink")}>{say("confirmLink")}</Button>
      </>
    );
  }
  return (
    <Form onSubmit={(event) => { event.preventDefault(); void perform("openLink", code.trim()); }}>
      <Field label={say("linkCode")} value={code} onChange={setCode} isRequired autoFocus autoComplete="off" />
      <Button type="submit" className="primary">{say("look")}</Button>
    </Form>
  );
}

export function About({ isOpen, onClose, account }: SheetProps & { account: Account }) {
  return (
    <Sheet title={say("about")} isOpen={isOpen} onClose={onClose}>
      <AboutText account={account} />
    </Sheet>
  );
}

function AboutText({ account }: { account: Account }) {
  const [build, setBuild] = useState("…");
  useEffect(() => {
    fetch("/about.json").then((answer) => answer.json()).then(({ bundle }) => setBuild(String(bundle)), () => setBuild("?"));
  }, []);
  return (
    <>
      <p>{say("aboutText")}</p>
      <dl>
        <dt>{say("tenant")}</dt>
        <dd>{account.tenant}</dd>
        <dt>{say("handle")}</dt>
        <dd>@{account.handle}</dd>
        <dt>{say("build")}</dt>
        <dd><code>{build}</code></dd>
      </dl>
    </>
  );
}
