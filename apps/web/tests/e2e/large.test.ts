// A file that fits into no memory: how fast it goes, and that nothing in the page waits for it.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { begin, bubble, chooses, joins, type Person, say, shownConversation, Stage, until } from "./stage.js";

/** Set to 1024 for what `docs/` says was measured. */
const MIB = Number(process.env["MIFENG_LARGE_MIB"] ?? 64);
const PATIENCE_MS = 60_000 + MIB * 1_000;

let stage: Stage;
let bob: Person;
before(async () => {
  stage = await Stage.open();
  bob = stage.person("bob");
});
after(() => stage.close());

async function digest(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/**
 * Has the page itself send words when the file is seen on its way. Whoever asks for it from outside waits: what drives the browser is told of
 * every frame that it sends, with its bytes.
 */
async function speaksOnceItMoves(page: Page): Promise<void> {
  await page.evaluate((conversation) => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector(".bubble progress")) return;
      observer.disconnect();
      const request = { id: 1, method: "send", args: [conversation, "meanwhile"] };
      new BroadcastChannel("mifeng").postMessage({ kind: "call", from: "the test", request });
    }).observe(document.body, { subtree: true, childList: true });
  }, shownConversation(page));
}

test(`a file of ${MIB} MiB arrives as it was, and words overtake it`, { timeout: 4 * PATIENCE_MS }, async (context) => {
  const path = join(stage.folder, "film.bin");
  await pipeline(async function* () {
    for (let at = 0; at < MIB; at++) yield randomBytes(1 << 20);
  }, createWriteStream(path));
  const browser = stage.browser("ann");
  const page = await browser.start();
  await joins(page, stage.invite(), "ann");
  await begin(page, "bob");
  await say(page, "soon");
  await bubble(page, "soon", "Sent").waitFor();

  await chooses(page, path);
  await page.getByRole("list", { name: "Attach files" }).getByText("film.bin").waitFor();
  await speaksOnceItMoves(page);
  const took: Record<string, number> = {};
  const timed = async (what: string, work: () => Promise<unknown>) => {
    const begun = performance.now();
    await work();
    took[what] = Math.round(performance.now() - begun);
  };
  await timed("sealed", async () => {
    await page.getByRole("button", { name: "Send", exact: true }).click();
    // It is seen on its way, not only once it has arrived.
    await bubble(page, "film.bin").locator("progress").waitFor({ timeout: PATIENCE_MS });
  });
  await timed("sent", async () => {
    await timed("words", () => bubble(page, "meanwhile", "Sent").waitFor({ timeout: 30_000 }));
    await bubble(page, "film.bin", "Sent").waitFor({ timeout: PATIENCE_MS });
  });
  const lines = await until("bob hears of it", () => {
    const heard = bob.run("tail", "-n", "9");
    return heard.some((line) => JSON.stringify(line).includes("film.bin")) ? heard : undefined;
  });
  const place = (what: string) => lines.findIndex((line) => JSON.stringify(line).includes(what));
  assert.ok(place("meanwhile") < place("film.bin"), "the words have overtaken it");
  const to = join(stage.folder, "again.bin");
  await timed("fetched", async () => bob.run("save", shownConversation(page), String(lines[place("film.bin")]?.["id"]), to));
  assert.equal(await digest(to), await digest(path));
  await timed("opened and saved", async () => {
    const download = page.waitForEvent("download", { timeout: PATIENCE_MS });
    await page.getByRole("button", { name: "Save: film.bin" }).click();
    assert.equal(await digest(await (await download).path()), await digest(path));
  });
  context.diagnostic(`${MIB} MiB, milliseconds: ${JSON.stringify(took)}`);
  assert.deepEqual(browser.complaints, []);
});
