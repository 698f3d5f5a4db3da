// A browser that is linked to a person has what was said before it came: at once what is on the screen, the rest as one scrolls.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, begin, bubble, joins, links, say, shownConversation, Stage, until } from "./stage.js";

let stage: Stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage.close());

const MESSAGES = 900;

test("what was said before a browser came is there, and comes as one scrolls back", async (context) => {
  const kim = stage.person("kim");
  const old = stage.browser("ann-browser");
  const ann = await old.start();
  await joins(ann, stage.invite(), "ann");
  await begin(ann, "kim");
  await say(ann, "the very first");
  await bubble(ann, "the very first", "Sent").waitFor();
  const id = shownConversation(ann);
  await ask(ann, "send", Array.from({ length: MESSAGES }, (_, at) => [id, `message ${at} 第 ${at} 条`]));
  await bubble(ann, `message ${MESSAGES - 1} `, "Sent").waitFor({ timeout: 120_000 });
  assert.equal(kim.run("tail", "@ann", "-n", "5").length, 5);

  const browser = stage.browser("kim-browser");
  const page = await browser.start();
  await links(page, kim, "kim");
  const start = Date.now();
  await page.getByRole("row").filter({ hasText: "ann" }).click({ timeout: 60_000 });
  await bubble(page, `message ${MESSAGES - 1} `).waitFor({ timeout: 60_000 });
  context.diagnostic(`the last of ${MESSAGES + 1} messages was on the screen ${Date.now() - start} ms after the browser was linked`);
  await page.locator(".scroller").hover();
  const first = bubble(page, "the very first");
  for (let steps = 0; (await first.count()) === 0; steps++) {
    assert.ok(steps < 1_000, "it does not come to an end");
    await page.mouse.wheel(0, -1_500);
    await page.waitForTimeout(30);
  }
  const shown = await page.locator(".lines .text").allTextContents();
  assert.equal(shown.filter((text) => text.includes("the very first")).length, 1);
  await say(page, "and on it goes");
  await bubble(page, "and on it goes", /Sent|Read/).waitFor(); // Ann may have read it by now.
  await bubble(ann, "and on it goes").waitFor();

  // Kept out, it is not in the archive any more, and stays where it is already.
  await page.getByRole("button", { name: "Details" }).click();
  await page.getByRole("dialog").getByText("Keep in my archive", { exact: true }).click();
  const kept = page.getByRole("switch", { name: "Keep in my archive" });
  await until("it is set", async () => ((await kept.isChecked()) ? undefined : true));
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await bubble(page, "and on it goes").waitFor();
  assert.deepEqual([...browser.complaints, ...old.complaints], []);
  browser.kill();
  old.kill();
});
