// A long conversation does not cost: from its end to its beginning, few rows are on the page, and it stays responsive.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, begin, bubble, joins, say, shownConversation, Stage } from "./stage.js";

let stage: Stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage.close());

const MESSAGES = 10_000;
const ROWS_MAX = 300;
/** What a person feels is a longer task. It is told and fails nothing: another program on the machine makes some, too. */
const LONG_MS = 50;

interface Watched {
  rows: number;
  tasks: number[];
}

test("a conversation of ten thousand messages is scrolled from end to beginning", async (context) => {
  stage.person("bob");
  const browser = stage.browser("ann-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "ann");
  await begin(page, "bob");
  await say(page, "the very first");
  await bubble(page, "the very first", "Sent").waitFor();
  const id = shownConversation(page);
  // Without a server they are written faster; where they wait makes no difference to the page.
  await stage.stop();
  for (let from = 1; from < MESSAGES; from += 500) {
    const count = Math.min(500, MESSAGES - from);
    await ask(page, "send", Array.from({ length: count }, (_, at) => [id, `message ${from + at} of *many* 第 ${from + at} 条`]));
  }
  await page.reload();
  await bubble(page, `message ${MESSAGES - 1} of`).waitFor();
  await page.evaluate(() => {
    const watched = { rows: 0, tasks: [] as number[] };
    Object.assign(globalThis, { watched });
    const count = () => {
      watched.rows = Math.max(watched.rows, document.querySelectorAll(".lines > li").length);
      requestAnimationFrame(count);
    };
    count();
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) watched.tasks.push(Math.round(duration));
    }).observe({ type: "longtask" });
  });
  await page.locator(".scroller").hover();
  const first = bubble(page, "the very first");
  let steps = 0;
  for (; (await first.count()) === 0; steps++) {
    assert.ok(steps < 3_000, "it does not come to an end");
    await page.mouse.wheel(0, -1_500);
    await page.waitForTimeout(30);
  }
  const { rows, tasks } = await page.evaluate(() => (globalThis as unknown as { watched: Watched }).watched);
  const long = tasks.filter((task) => task > LONG_MS).sort((one, other) => other - one);
  context.diagnostic(`${steps} steps; ${rows} rows at most; ${long.length} tasks over ${LONG_MS} ms: ${long.slice(0, 20).join(" ")}`);
  assert.ok(rows > 60, "the control: rows were counted");
  assert.ok(rows <= ROWS_MAX, `${rows} rows are on the page`);
  await page.getByRole("button", { name: "To the newest message" }).click();
  await bubble(page, `message ${MESSAGES - 1} of`).waitFor();
  browser.kill();
});
