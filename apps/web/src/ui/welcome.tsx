// The door: redeem an invite, or make this browser a further device of somebody.

import { useState, type FormEvent } from "react";
import { Button, Form, Tab, TabList, TabPanel, Tabs } from "react-aria-components";
import type { Event } from "../core/wasm/mifeng_wasm";
import { say } from "../words";
import { session, useEvents } from "./client";
import { Field } from "./parts";

type Code = Extract<Event, { type: "link_code" }>;

export function Welcome() {
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<string>();
  const [code, setCode] = useState<Code>();
  useEvents((event) => {
    if (event.type === "link_code") setCode(event);
    if (event.type === "refused") {
      setWrong(event.reason);
      setCode(undefined);
    }
    if (event.type === "refused" || event.type === "link_code") setBusy(false);
  });
  const attempt = async (work: () => Promise<unknown>) => {
    setWrong(undefined);
    setBusy(true);
    try {
      await work();
    } catch (error) {
      setWrong(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <main className="door">
      <div className="card">
        <img src="/favicon.svg" alt="" width="56" height="56" />
        <h1>Mifeng</h1>
        <p className="dim">{say("welcome")}</p>
        {code ? (
          <LinkCode code={code} />
        ) : (
          <Tabs>
            <TabList aria-label="Mifeng">
              <Tab id="join">{say("join")}</Tab>
              <Tab id="login">{say("login")}</Tab>
            </TabList>
            <TabPanel id="join">
              <Join attempt={attempt} busy={busy} />
            </TabPanel>
            <TabPanel id="login">
              <Login attempt={attempt} busy={busy} />
            </TabPanel>
          </Tabs>
        )}
        {wrong !== undefined && <p className="wrong" role="alert">{wrong}</p>}
      </div>
    </main>
  );
}

interface EntryProps {
  attempt: (work: () => Promise<unknown>) => void;
  busy: boolean;
}

function Join({ attempt, busy }: EntryProps) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const { invite, handle, password } = values(event.currentTarget);
    attempt(async () => {
      const { host, port } = await session.call("invitation", invite ?? "");
      const here = location.port === "" ? `${location.hostname}:443` : location.host;
      if (`${host}:${port}` !== here) throw new Error(`${say("inviteOther")}${host}:${port}`);
      await session.call("join", invite ?? "", handle ?? "", password ?? "");
    });
  };
  return (
    <Form onSubmit={submit}>
      <Field name="invite" label={say("invite")} hint={say("inviteHint")} isRequired autoComplete="off" />
      <Field name="handle" label={say("handle")} hint={say("handleYours")} isRequired autoComplete="username" />
      <Field name="password" label={say("password")} hint={say("passwordHint")} type="password" minLength={12} isRequired autoComplete="new-password" />
      <Submit busy={busy} label={say("join")} />
    </Form>
  );
}

function Login({ attempt, busy }: EntryProps) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const { tenant, handle, password, device } = values(event.currentTarget);
    attempt(() => session.call("link", tenant ?? "", handle ?? "", password ?? "", device ?? ""));
  };
  return (
    <Form onSubmit={submit}>
      <Field name="tenant" label={say("tenant")} isRequired autoComplete="organization" />
      <Field name="handle" label={say("handle")} isRequired autoComplete="username" />
      <Field name="password" label={say("password")} type="password" isRequired autoComplete="current-password" />
      <Field name="device" label={say("deviceName")} defaultValue={browserName()} isRequired />
      <Submit busy={busy} label={say("login")} />
    </Form>
  );
}

function Submit({ busy, label }: { busy: boolean; label: string }) {
  return (
    <Button type="submit" className="primary" isPending={busy}>
      {busy ? say("joining") : label}
    </Button>
  );
}

function LinkCode({ code }: { code: Code }) {
  const [copied, setCopied] = useState(false);
  const copy = () => void navigator.clipboard.writeText(code.code).then(() => setCopied(true));
  return (
    <section className="link-code">
      <p>
        {say("linkHelp")} <code>mifeng devices confirm CODE</code>
      </p>
      <output className="code">{code.code}</output>
      <Button className="quiet" onPress={copy}>{say(copied ? "copied" : "copy")}</Button>
      <p>{say("compareNumber")}</p>
      <output className="number">{code.number}</output>
    </section>
  );
}

function values(form: HTMLFormElement): Record<string, string> {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
}

function browserName(): string {
  const agent = navigator.userAgent;
  const browser = ["Firefox", "Edg", "Chrome", "Safari"].find((name) => agent.includes(name)) ?? "Browser";
  return browser === "Edg" ? "Edge" : browser;
}
