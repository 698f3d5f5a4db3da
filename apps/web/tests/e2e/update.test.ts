// The server gets another version of the page. A host of its own serves the bundle here, because a mifengd carries only one.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { Browser, kept, until } from "./stage.js";

type Files = Map<string, Buffer>;

const DIST = new URL("../../../dist/", import.meta.url).pathname;
const TYPES: Record<string, string> = { js: "text/javascript", css: "text/css", wasm: "application/wasm", svg: "image/svg+xml" };
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; connect-src 'self'; " +
  "require-trusted-types-for 'script'; trusted-types mifeng";

const folder = mkdtempSync(join(tmpdir(), "mifeng-update-"));
let host: Server;
let origin: string;
let served: Files = new Map();

before(async () => {
  host = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const bytes = served.get(path);
    response.writeHead(bytes ? 200 : 404, {
      "content-type": TYPES[path.split(".").at(-1) ?? ""] ?? "text/html", "cache-control": "no-cache", "content-security-policy": POLICY,
      "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp",
    });
    response.end(bytes);
  });
  await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve));
  const address = host.address();
  assert.ok(address !== null && typeof address === "object");
  origin = `http://localhost:${address.port}`;
});
after(() => {
  for (const browser of started) browser.kill();
  host.closeAllConnections();
  host.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

const started: Browser[] = [];
function start(profile: string, origin: string): Browser {
  const browser = new Browser(profile, origin);
  started.push(browser);
  return browser;
}

/** The bundle as it was built. */
function built(): Files {
  const files = readdirSync(DIST, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && !entry.name.endsWith(".br"));
  return new Map(files.map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(DIST.length);
    return [name === "index.html" ? "/" : `/${name}`, readFileSync(path)] as const;
  }));
}

/** A further version of it: another page, and a service worker that knows its hash. */
function version(name: string): Files {
  const files = built();
  const page = String(files.get("/"));
  const next = page.replace("<title>", `<meta name="version" content="${name}"><title>`);
  const service = String(files.get("/service.js")).replace(integrity(page), integrity(next)).replace(/\b[0-9a-f]{16}\b/, name.padStart(16, "0"));
  return files.set("/", Buffer.from(next)).set("/service.js", Buffer.from(service));
}

function integrity(content: string): string {
  return `sha384-${createHash("sha384").update(content).digest("base64")}`;
}

const shown = (page: Page) =>
  page.evaluate(() => document.querySelector<HTMLMetaElement>("meta[name=version]")?.content).catch(() => undefined);
const cached = (page: Page) => page.evaluate(() => caches.keys());
const look = (page: Page) => page.evaluate(async () => void (await (await navigator.serviceWorker.ready).update()));

test("all tabs go over to a new version together, and only when they are told to", async () => {
  served = version("1");
  const browser = start(join(folder, "together"), origin);
  const first = await browser.start();
  await kept(first);
  const second = await browser.tab();
  await kept(second);
  served = version("2");
  await look(first);
  const [one, other] = [first, second].map((page) => page.getByRole("button", { name: "Load it" }));
  await one?.waitFor();
  await other?.waitFor();
  // Until then a tab that is loaded gets what the others have.
  await second.reload();
  assert.deepEqual([await shown(first), await shown(second)], ["1", "1"]);
  await one?.click();
  for (const page of [first, second]) await until("it is the new one", async () => ((await shown(page)) === "2" ? true : undefined));
  assert.deepEqual(await cached(first), ["mifeng-shell-0000000000000002"]);
  browser.kill();
});

test("a single tab that is loaded again takes a new version, by itself or when it is told to", async () => {
  served = version("1");
  const browser = start(join(folder, "single"), origin);
  const page = await browser.start();
  await kept(page);
  served = version("3");
  await look(page);
  await page.getByRole("button", { name: "Load it" }).waitFor();
  assert.equal(await shown(page), "1", "not while a person is at it");
  await page.reload();
  const told = setTimeout(() => void page.getByRole("button", { name: "Load it" }).click().catch(() => undefined), 5_000);
  await until("it is the new one", async () => ((await shown(page)) === "3" ? true : undefined));
  clearTimeout(told);
  await until("the old files are gone", async () => ((await cached(page)).length === 1 ? true : undefined));
  browser.kill();
});

test("a version of which one file is another is not taken", async () => {
  served = version("1");
  const browser = start(join(folder, "mixed"), origin);
  const page = await browser.start();
  await kept(page);
  const [before] = await cached(page);
  // What a host in the middle of an upgrade would serve: the new service worker, and still the old page.
  served = version("4").set("/", version("1").get("/") ?? Buffer.of());
  await look(page).catch(() => undefined);
  await until("it was refused", async () => {
    const state = await page.evaluate(async () => {
      const { installing, waiting } = await navigator.serviceWorker.ready;
      return installing === null && waiting === null;
    });
    return state ? true : undefined;
  });
  await page.reload();
  assert.equal(await shown(page), "1");
  assert.deepEqual(await cached(page), [before]);
  browser.kill();
});
