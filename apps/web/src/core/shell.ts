// This page's files, kept by the service worker, and what happens when the server has other ones. A tab goes over to a new version only
// together with all others: they share one database, and talk with each other.

import { scriptUrl } from "./scripts";

const SCRIPT = "/service.js";
const LOOK_AGAIN_MS = 60_000;
const ASK_AFTER_MS = [1_000, 3_000];

export interface Shell {
  /** Asks the server for a new version, at most once a minute. */
  look(): void;
  /** Every tab is loaded anew, with the version that waits. */
  take(): void;
}

/**
 * Has the files kept; `waits` is told when a new version is here. `loaded` is kept when this page has all its files. Nothing without service
 * workers, or while developing.
 */
export async function keepShell(waits: () => void, loaded: Promise<void>): Promise<Shell | undefined> {
  const workers = (navigator as { serviceWorker?: ServiceWorkerContainer }).serviceWorker;
  if (!workers || !import.meta.env.PROD) return undefined;
  let isKept = workers.controller !== null;
  workers.addEventListener("controllerchange", () => {
    // The first worker keeps what is here already.
    if (isKept) location.reload();
    isKept = true;
  });
  const registration = await workers.register(scriptUrl(SCRIPT), { updateViaCache: "none" });
  const before = registration.waiting;
  void loaded.then(() => {
    // Not earlier: a worker that is asked for a file (what is shown first has pictures) while it makes way is started again, and Chromium lets
    // it stay then. Asked again, because a worker that is just being started may lose the question.
    for (const afterMs of ASK_AFTER_MS) setTimeout(() => before?.postMessage("take-if-alone"), afterMs);
  });
  const found = () => {
    if (registration.waiting && isKept) waits();
  };
  found();
  registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", found));
  let looked = Date.now();
  return {
    look: () => {
      if (Date.now() - looked < LOOK_AGAIN_MS) return;
      looked = Date.now();
      // Without a connection there is nothing to be seen.
      registration.update().catch(() => undefined);
    },
    take: () => registration.waiting?.postMessage("take"),
  };
}
