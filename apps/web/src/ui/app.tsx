// Which screen is shown: the door, or what is behind it.

import { useEffect, useState } from "react";
import { say } from "../words";
import { Tell, useAnswer, useEvents } from "./client";
import { Home } from "./home";
import { useTelling } from "./parts";
import { Welcome } from "./welcome";

export function App() {
  const [status] = useAnswer((event) => event.type !== "typing" && event.type !== "contact", "status");
  const [told, tell] = useTelling();
  const [broken, setBroken] = useState<string>();
  useEvents((event) => {
    if (event.type === "failed") setBroken(event.reason);
    if (event.type === "notice") tell(event.reason);
  });
  useEffect(() => {
    // The browser is asked not to throw the database away when the disk gets full; it may say no.
    if (status?.account) void navigator.storage.persist?.();
  }, [status?.account?.device]);

  if (broken !== undefined) {
    return (
      <main className="alone" role="alert">
        <h1>{say("failedHere")}</h1>
        <p>{broken}</p>
      </main>
    );
  }
  return (
    <Tell value={tell}>
      {!status && <main className="alone"><p>{say("loading")}</p></main>}
      {status && !status.account && <Welcome />}
      {status?.account && <Home status={status} account={status.account} />}
      {told}
    </Tell>
  );
}
