// Which screen is shown: the door, or what is behind it.

import { useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";
import { keepShell, type Shell } from "../core/shell";
import { say } from "../words";
import { isOfList, session, Tell, useAnswer, useEvents } from "./client";
import { Home } from "./home";
import { useTelling } from "./parts";
import { Welcome } from "./welcome";

export function App() {
  const [status] = useAnswer(isOfList, "status");
  const [told, tell] = useTelling();
  const [broken, setBroken] = useState<string>();
  const takeNewVersion = useNewVersion();
  useEvents((event) => {
    if (event.type === "failed") setBroken(event.reason);
    if (event.type === "notice") tell(event.reason);
  });
  useEffect(() => {
    // The browser is asked not to throw the database away when the disk gets full; it may say no.
    if (status?.account) void navigator.storage.persist?.();
  }, [status?.account?.device]);

  const newVersion = takeNewVersion && (
    <p className="new-version" role="status">
      {say("newVersion")} <Button className="primary" onPress={takeNewVersion}>{say("loadIt")}</Button>
    </p>
  );
  if (broken !== undefined) {
    return (
      <>
        {newVersion}
        <main className="alone" role="alert">
          <h1>{say("failedHere")}</h1>
          <p>{broken}</p>
        </main>
      </>
    );
  }
  return (
    <Tell value={tell}>
      {newVersion}
      {!status && <main className="alone"><p>{say("loading")}</p></main>}
      {status && !status.account && <Welcome />}
      {status?.account && <Home status={status} account={status.account} />}
      {told}
    </Tell>
  );
}

/** How to go over to a new version of this page, when one waits. Whenever the server is back, it may have one. */
function useNewVersion(): (() => void) | undefined {
  const [waits, setWaits] = useState(false);
  const shell = useRef<Shell>(undefined);
  useEffect(() => {
    // A browser that keeps nothing (a private window) opens the page with the server only.
    keepShell(() => setWaits(true), session.answered).then((kept) => void (shell.current = kept), () => undefined);
  }, []);
  useEvents((event) => {
    if (event.type === "connection") shell.current?.look();
  });
  return waits ? () => shell.current?.take() : undefined;
}
