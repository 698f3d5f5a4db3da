// What a person looks for and sets: old messages, names, timers, admins, devices, receipts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { ask, begin, bubble, connected, joins, links, type Person, say, shownConversation, Stage, until } from "./stage.js";

let stage: Stage;
let bob: Person;
before(async () => {
  stage = await Stage.open();
  bob = stage.person("bob");
});
after(() => stage.close());

async function closeSheet(page: Page): Promise<void> {
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
}

test("an old message is found by its words, and the conversation opens at it", async () => {
  const browser = stage.browser("ann-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "ann");
  await begin(page, "bob");
  await say(page, "tomorrow 我们明天去北京开会 at noon");
  await bubble(page, "at noon", "Sent").waitFor();
  const id = shownConversation(page);
  await ask(page, "send", Array.from({ length: 250 }, (_, at) => [id, `filler ${at}`]));
  await bubble(page, "filler 249").waitFor();
  assert.equal(await bubble(page, "at noon").count(), 0, "the control: it is not on the page");
  await page.getByRole("searchbox").fill("北京");
  await page.getByRole("region", { name: "Messages" }).getByRole("button", { name: "at noon" }).click();
  await bubble(page, "at noon").waitFor();
  const line = page.locator("li.sought");
  assert.ok((await line.textContent())?.includes("at noon"));
  assert.ok(await line.evaluate((line) => {
    const [row, box] = [line.getBoundingClientRect(), line.closest(".scroller")?.getBoundingClientRect()];
    return box !== undefined && row.top >= box.top && row.bottom <= box.bottom && document.activeElement === line;
  }), "it is in sight, and has the focus");
  assert.equal(await bubble(page, "filler 249").count(), 0);
  await page.getByRole("button", { name: "To the newest message" }).click();
  await bubble(page, "filler 249").waitFor();
  await page.getByRole("searchbox").fill("北京南");
  await page.getByRole("region", { name: "Messages" }).getByText("Nothing found.").waitFor();
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("a group gets a name, a topic, a timer and another admin", async () => {
  const browser = stage.browser("eve-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "eve");
  const fay = stage.person("fay");
  await begin(page, "fay", "Bees");
  await say(page, "hello");
  await bubble(page, "hello", "Sent").waitFor();
  await page.getByRole("button", { name: "Details" }).click();
  await page.getByLabel("Messages disappear").selectOption({ label: "1 hour after reading" });
  await page.getByLabel("Name of the group").fill("Bumblebees");
  await page.getByLabel("Topic").fill("honey");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "Bumblebees" }).waitFor();
  await page.getByRole("log").getByText("@eve set the topic “honey”").waitFor();
  const chat = await until("fay hears of it", () => {
    fay.run("tail");
    const chat = fay.run("chats")[0];
    return chat?.["topic"] === "honey" && chat["timer_seconds"] === 3_600 ? chat : undefined;
  });
  assert.equal(chat["title"], "Bumblebees");

  await page.getByRole("button", { name: "Members" }).click();
  await page.getByRole("button", { name: "Make admin: @fay" }).click();
  await page.getByRole("button", { name: "Not an admin any more: @fay" }).waitFor();
  await closeSheet(page);
  await page.getByRole("log").getByText("@eve made @fay").waitFor();
  await page.getByRole("button", { name: "Members" }).click();
  await page.getByRole("button", { name: "Not an admin any more: @fay" }).click();
  await page.getByRole("button", { name: "Make admin: @fay" }).waitFor();
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("a person sees their devices and revokes one", async () => {
  const rex = stage.person("rex");
  const browser = stage.browser("rex-browser");
  const page = await browser.start();
  await links(page, rex, "rex");
  rex.run("send", "@bob", "the control: it still may");
  await page.getByRole("button", { name: "Menu" }).click();
  await page.getByRole("menuitem", { name: "Your devices" }).click();
  const dialog = page.getByRole("dialog", { name: "Your devices" });
  await dialog.getByText("this device").first().waitFor();
  assert.equal(await dialog.getByRole("listitem").count(), 2);
  await dialog.getByRole("button", { name: /^Revoke: / }).click();
  await dialog.getByRole("button", { name: "Revoke for good" }).click();
  await dialog.getByText("revoked").waitFor();
  assert.throws(() => rex.run("send", "@bob", "and now not"));
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("who does not want to tell how far they have read does not, and that is kept", async () => {
  const browser = stage.browser("gus-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "gus");
  await begin(page, "bob");
  await say(page, "hello bob");
  await bubble(page, "hello bob", "Sent").waitFor();
  const receipts = page.getByRole("switch", { name: "Tell others how far I have read" });
  const openSettings = async () => {
    await page.getByRole("button", { name: "Menu" }).click();
    await page.getByRole("menuitem", { name: "Settings" }).click();
    await receipts.waitFor();
  };
  const readBy = () => {
    bob.run("tail", "@gus");
    return JSON.stringify(bob.run("chats").find((chat) => chat["title"] === "gus")?.["read_by"]);
  };
  await openSettings();
  await page.getByText("Tell others how far I have read").click();
  await until("it is off", async () => ((await receipts.isChecked()) ? undefined : true));
  await page.reload();
  await connected(page);
  await openSettings();
  assert.equal(await receipts.isChecked(), false);
  await closeSheet(page);
  bob.run("send", "@gus", "do you read?");
  await bubble(page, "do you read?").waitFor();
  await say(page, "yes");
  await bubble(page, "yes", "Sent").waitFor();
  await until("bob has the answer", () => (bob.run("tail", "@gus").some((line) => line["text"] === "yes") ? true : undefined));
  assert.equal(readBy(), "[]");
  await openSettings();
  await page.getByText("Tell others how far I have read").click();
  await until("it is on", async () => ((await receipts.isChecked()) ? true : undefined));
  await closeSheet(page);
  bob.run("send", "@gus", "and now?");
  await bubble(page, "and now?").waitFor();
  await until("the control: now bob is told", () => (readBy().includes("gus") ? true : undefined));
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});
