// What a person keeps on their device alone: drafts, what is pinned and what is muted.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { begin, bubble, composer, connected, joins, type Person, say, Stage, until } from "./stage.js";

let stage: Stage;
let bob: Person;
before(async () => {
  stage = await Stage.open();
  bob = stage.person("bob");
});
after(() => stage.close());

const entry = (page: Page, name: string) => page.getByRole("row", { name });

test("what was begun to be written is there after the browser was killed, and gone when it was sent", async () => {
  const browser = stage.browser("ann-browser");
  let page = await browser.start();
  await joins(page, stage.invite(), "ann");
  await begin(page, "bob");
  await say(page, "before");
  await bubble(page, "before", "Sent").waitFor();
  await composer(page).fill("half a sentence 半句话");
  const other = await browser.tab();
  await until("it is kept", async () => {
    await other.reload();
    await entry(other, "bob").waitFor();
    return (await entry(other, "bob").textContent())?.includes("Draft: half a sentence") === true ? true : undefined;
  });
  browser.kill();
  page = await browser.start();
  await entry(page, "bob").filter({ hasText: "Draft: half a sentence 半句话" }).click();
  assert.equal(await composer(page).inputValue(), "half a sentence 半句话");
  // An edit in between takes nothing of it.
  await bubble(page, "before").hover();
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("button", { name: "Edit" }).click();
  assert.equal(await composer(page).inputValue(), "before");
  await say(page, "after");
  await bubble(page, "after", "edited").waitFor();
  assert.equal(await composer(page).inputValue(), "half a sentence 半句话");
  await composer(page).press("Enter");
  await bubble(page, "half a sentence 半句话").waitFor();
  await connected(page);
  await bubble(page, "half a sentence 半句话", "Sent").waitFor();
  await page.reload();
  await bubble(page, "half a sentence 半句话").waitFor();
  assert.equal(await composer(page).inputValue(), "");
  assert.ok(!(await entry(page, "bob").textContent())?.includes("Draft:"));
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("a pinned conversation stays above, and a muted one is loud only where it names the person", async () => {
  const browser = stage.browser("cleo-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "cleo");
  const names = async () => (await page.getByRole("row").locator(".title").allTextContents()).join(" ");
  const set = async (label: string) => {
    await page.getByRole("button", { name: "Details" }).click();
    await page.getByRole("dialog").getByText(label).click();
    await until("it is set", async () => ((await page.getByRole("switch", { name: label }).isChecked()) ? true : undefined));
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  };
  await begin(page, "bob");
  await say(page, "to bob");
  await bubble(page, "to bob", "Sent").waitFor();
  await begin(page, "bob", "Bees");
  await say(page, "to the bees");
  await bubble(page, "to the bees", "Sent").waitFor();
  assert.equal(await names(), "Bees bob");
  await entry(page, "bob").click();
  await set("Pinned above the others");
  await until("it is above", async () => ((await names()) === "bob Bees" ? true : undefined));
  await set("Muted, unless you are named");
  await entry(page, "Bees").click();
  bob.run("tail");
  bob.run("send", "@cleo", "psst");
  await entry(page, "bob").locator(".unread.low").filter({ hasText: "1" }).waitFor();
  assert.equal(await page.title(), "Mifeng");
  bob.run("send", "@cleo", "now listen, @cleo");
  await entry(page, "bob").locator(".unread:not(.low)").filter({ hasText: "2" }).waitFor();
  await until("the title says so", async () => ((await page.title()) === "(1) Mifeng" ? true : undefined));
  await page.reload();
  await entry(page, "bob").locator(".unread").waitFor();
  assert.equal(await names(), "bob Bees");
  assert.equal(await entry(page, "bob").getByLabel("Muted").count(), 1);
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});
