// The service worker. It keeps the files that the page is made of, so that the page opens without the server, and nothing
// else: no answer of the server, no message. One version is kept whole or not at all, each file under the hash that the build
// wrote down; the files of a page are always of one version.

/** Written in by the build: the paths of all files with their hashes, and the hash of that. */
declare const __SHELL__: { version: string; files: Record<string, string> };

/** The part of the worker's global object that is used; TypeScript's own description does not go together with that of a page. */
interface Scope {
  readonly clients: { claim(): Promise<void>; matchAll(of: { type: "window"; includeUncontrolled: boolean }): Promise<unknown[]> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: Lasting) => void): void;
  addEventListener(type: "fetch", listener: (event: Fetched) => void): void;
  addEventListener(type: "message", listener: (event: Lasting & { readonly data: unknown }) => void): void;
}
interface Lasting extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetched extends Event {
  readonly request: globalThis.Request;
  respondWith(answer: Promise<Response>): void;
}

const scope = self as unknown as Scope;
const { version, files } = __SHELL__;
const PREFIX = "mifeng-shell-";
const CACHE = PREFIX + version;
const ATTEMPTS = 10;
const PAUSE_MS = 200;

scope.addEventListener("install", (event) => event.waitUntil(keep()));
scope.addEventListener("activate", (event) => event.waitUntil(takeOver()));
scope.addEventListener("message", (event) => {
  if (event.data === "take") event.waitUntil(scope.skipWaiting());
  if (event.data === "take-if-alone") event.waitUntil(takeIfAlone());
});
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method === "GET" && origin === location.origin && pathname in files) event.respondWith(answer(request, pathname));
});

/** All files, each as the build made it; one that is another, of a server that changes its version just now, fails all. */
async function keep(): Promise<void> {
  try {
    const cache = await caches.open(CACHE);
    await Promise.all(Object.entries(files).map(async ([path, integrity]) => {
      const response = await fetch(path, { integrity, cache: "no-cache", credentials: "omit", redirect: "error" });
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
      await cache.put(path, response);
    }));
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

/** From here on every tab has this version; they load themselves anew if they had another. */
async function takeOver(): Promise<void> {
  const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(others.map((name) => caches.delete(name)));
  await scope.clients.claim();
}

/** A single tab that was just loaded loses nothing by being loaded again. What it showed before is counted for a moment. */
async function takeIfAlone(): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const tabs = await scope.clients.matchAll({ type: "window", includeUncontrolled: true });
    if (tabs.length <= 1) return scope.skipWaiting();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** The kept file. A browser that has thrown it away asks the server; what is named by its hash is no other there. */
async function answer(request: globalThis.Request, path: string): Promise<Response> {
  const kept = await (await caches.open(CACHE)).match(path);
  return kept ?? fetch(request);
}
