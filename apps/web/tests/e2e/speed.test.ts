// How fast it feels: printed, and kept in docs/web.md with the day and the machine. No time fails a test: others work on the same cores.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { ask, begin, bubble, composer, connected, joins, Stage, until } from "./stage.js";

const MESSAGES = 60;
const CONVERSATIONS = 200;
const OPENINGS = 5;

let stage: Stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage.close());

/** The value that this share of all is not above. */
function percentile(values: number[], share: number): number {
  return values.toSorted((one, other) => one - other)[Math.ceil(values.length * share) - 1] ?? NaN;
}

/** Has a page note when each text that begins so is first in it. */
async function watch(page: Page, beginning: string): Promise<void> {
  await page.evaluate((beginning) => {
    const seen: Record<string, number> = {};
    Object.assign(globalThis, { seen });
    new MutationObserver(() => {
      for (const { textContent } of document.querySelectorAll(".lines .text")) {
        if (textContent.startsWith(beginning)) seen[textContent] ??= Date.now();
      }
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  }, beginning);
}

const seen = (page: Page) => page.evaluate(() => (globalThis as unknown as { seen: Record<string, number> }).seen);

test("a message is on the other side's screen", async (context) => {
  const [ann, bob] = [stage.browser("ann"), stage.browser("bob")];
  const [page, other] = [await ann.start(), await bob.start()];
  await joins(other, stage.invite(), "bob");
  await joins(page, stage.invite(), "ann");
  await begin(page, "bob");
  await composer(page).fill("the first");
  await composer(page).press("Enter");
  await other.getByRole("row", { name: "ann" }).click();
  await bubble(other, "the first").waitFor();
  await watch(other, "number ");
  const times: number[] = [];
  for (let at = 0; at < MESSAGES; at++) {
    const text = `number ${at}`;
    await composer(page).fill(text);
    const begun = Date.now();
    await composer(page).press("Enter");
    const shown = await until(text, async () => (await seen(other))[text]);
    times.push(shown - begun);
  }
  const [half, most] = [percentile(times, 0.5), percentile(times, 0.95)];
  context.diagnostic(`from the key to the other browser's screen: ${MESSAGES} messages, p50 ${half} ms, p95 ${most} ms`);
  assert.equal(times.length, MESSAGES);
  for (const browser of [ann, bob]) browser.kill();
});

test(`a list of ${CONVERSATIONS} conversations opens`, { timeout: 600_000 }, async (context) => {
  const browser = stage.browser("cleo");
  const page = await browser.start();
  await joins(page, stage.invite(), "cleo");
  await ask(page, "startGroup", Array.from({ length: CONVERSATIONS }, (_, at) => [`Group ${at}`, []]));
  const rows = () => page.getByRole("grid", { name: "Conversations" }).getByRole("row");
  await until("all are there", async () => ((await rows().count()) === CONVERSATIONS ? true : undefined), 300_000);
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (document.querySelectorAll(".list .entry").length === 0) return;
      observer.disconnect();
      performance.mark("list");
    }).observe(document, { subtree: true, childList: true });
  });
  const times: number[] = [];
  for (let round = 0; round < OPENINGS; round++) {
    // Everything of the page and its worker is gone in between.
    await page.goto("about:blank");
    await page.goto(stage.origin);
    await until("the list is there", async () => ((await rows().count()) === CONVERSATIONS ? true : undefined));
    times.push(await page.evaluate(() => Math.round(performance.getEntriesByName("list")[0]?.startTime ?? NaN)));
    await connected(page);
  }
  assert.ok(times.every((time) => time > 0), "each was measured");
  context.diagnostic(`from the address to ${CONVERSATIONS} conversations: ${times.join(", ")} ms`);
  browser.kill();
});
