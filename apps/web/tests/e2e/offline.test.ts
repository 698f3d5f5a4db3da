// The server is away. The page opens all the same, shows what is here, and what is written goes out when the server is back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { begin, bubble, composer, connected, joins, kept, say, Stage, until } from "./stage.js";

let stage: Stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage.close());

test("a page opens without the server, is read and written, and sends when the server is back", async () => {
  const bob = stage.person("bob");
  const browser = stage.browser("ann-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "ann");
  await begin(page, "bob");
  await say(page, "said before");
  await bubble(page, "said before", "Sent").waitFor();
  await kept(page);
  assert.equal(browser.complaints.length, 0);

  await stage.stop();
  await page.reload();
  await bubble(page, "said before").waitFor();
  await page.getByRole("status").filter({ hasText: "Offline" }).waitFor();
  await say(page, "said without a server");
  await bubble(page, "said without a server", "Waiting").waitFor();
  // The browser itself ends, too: what was written was in the database.
  browser.kill();
  const again = await browser.start();
  await again.getByRole("row", { name: "bob" }).click();
  await bubble(again, "said without a server", "Waiting").waitFor();
  const policy = await again.evaluate(() => ({ isolated: crossOriginIsolated, evaluated: "hit" in globalThis }));
  assert.deepEqual(policy, { isolated: true, evaluated: false });
  await assert.rejects(fetch(stage.origin), "the control: nothing answers there");

  await stage.serve();
  await connected(again);
  await bubble(again, "said without a server", "Sent").waitFor();
  await until("the other side gets it", () => (bob.texts().length === 2 ? true : undefined));
  assert.deepEqual(bob.texts(), ["said before", "said without a server"]);
  bob.run("send", "@ann", "welcome back");
  await bubble(again, "welcome back").waitFor();
  const others = browser.complaints.filter((complaint) => !complaint.includes("net::ERR_CONNECTION_REFUSED"));
  assert.deepEqual(others, []);
  browser.kill();
});

test("the service worker keeps the page's files and nothing else", async () => {
  const browser = stage.browser("cleo-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "cleo");
  await begin(page, "bob");
  await say(page, "never in a cache");
  await bubble(page, "never in a cache", "Sent").waitFor();
  await kept(page);
  const about = await page.evaluate(async () => (await fetch("/about.json")).status);
  assert.equal(about, 200);
  const found = await page.evaluate(async () => {
    const all: { cache: string; path: string; policy: string | null; holds: boolean }[] = [];
    for (const cache of await caches.keys()) {
      for (const request of await (await caches.open(cache)).keys()) {
        const response = await caches.match(request);
        const text = response === undefined ? "" : await response.text();
        const holds = text.includes("never in a cache");
        all.push({ cache, path: new URL(request.url).pathname, policy: response?.headers.get("content-security-policy") ?? null, holds });
      }
    }
    return all;
  });
  assert.ok(found.length > 4, "the control: something is kept");
  assert.equal(new Set(found.map(({ cache }) => cache)).size, 1);
  for (const { path, policy, holds } of found) {
    assert.match(path, /^\/(|favicon\.svg|assets\/[\w.-]+)$/);
    assert.ok(policy?.startsWith("default-src 'none'"), `${path} keeps its policy`);
    assert.equal(holds, false, path);
  }
  assert.equal(await composer(page).inputValue(), "");
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});
