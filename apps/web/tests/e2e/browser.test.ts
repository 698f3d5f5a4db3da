// A browser talks with the command line, through a server that serves it and cannot read it.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { begin, bubble, composer, connected, filesBelow, joins, links, type Person, say, Stage, until } from "./stage.js";

let stage: Stage;
let bob: Person;

before(async () => {
  stage = await Stage.open();
  bob = stage.person("bob");
});
after(() => stage.close());

test("a person joins, talks, closes the tab, and everything is there again", async () => {
  const browser = stage.browser("ann-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "ann");
  await begin(page, "@bob");
  await say(page, "hello *bob* 你好");
  await bubble(page, "hello bob 你好", "Sent").waitFor();
  assert.deepEqual(bob.texts(), ["hello *bob* 你好"]);
  await bubble(page, "hello bob", "Read").waitFor();
  bob.run("send", "--markdown", "@ann", "hi `ann`, see https://example.org");
  await bubble(page, "hi ann").waitFor();
  assert.equal(await bubble(page, "hello bob").locator("em").textContent(), "bob");

  await page.close();
  const again = await browser.tab();
  await connected(again);
  await again.getByRole("row", { name: "bob" }).click();
  await bubble(again, "hello bob").waitFor();
  await bubble(again, "hi ann").waitFor();
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("an own message is edited, answered, reacted to and taken back, on both sides", async () => {
  const browser = stage.browser("cleo-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "cleo");
  const dan = stage.person("dan");
  await begin(page, "dan");
  await say(page, "first");
  await bubble(page, "first", "Sent").waitFor();
  await bubble(page, "first").hover();
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("button", { name: "Edit" }).click();
  await say(page, "second");
  await bubble(page, "second", "edited").waitFor();
  const [line] = dan.run("tail");
  assert.equal(line?.["text"], "second");
  dan.run("react", "@cleo", String(line?.["id"]), "👍");
  await page.getByRole("button", { name: "👍 dan" }).waitFor();
  dan.run("reply", "@cleo", String(line?.["id"]), "indeed");
  await bubble(page, "indeed").locator(".quoted").filter({ hasText: "second" }).waitFor();
  await bubble(page, "second").first().hover();
  await page.locator(".line.own").getByRole("button", { name: "More" }).click();
  await page.getByRole("button", { name: "Delete" }).click();
  await bubble(page, "Message deleted").first().waitFor();
  await until("the deletion arrives", () => (dan.run("tail")[0]?.["deleted"] === true ? true : undefined));
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("a group is begun in the browser, and everybody reads", async () => {
  const browser = stage.browser("eve-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "eve");
  const [fay, gus] = [stage.person("fay"), stage.person("gus")];
  await begin(page, "fay gus", "Bees 蜜蜂");
  await say(page, "hello all");
  await bubble(page, "hello all", "Sent").waitFor();
  for (const person of [fay, gus]) assert.ok(person.texts().includes("hello all"));
  await page.getByRole("button", { name: "Members" }).click();
  for (const handle of ["@eve", "@fay", "@gus"]) await page.getByRole("dialog").getByText(handle).waitFor();
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("two tabs share one device, and the second goes on when the first is closed", async () => {
  const browser = stage.browser("hal-browser");
  const first = await browser.start();
  await joins(first, stage.invite(), "hal");
  await begin(first, "bob");
  await say(first, "from the first");
  await bubble(first, "from the first", "Sent").waitFor();
  const second = await browser.tab();
  await second.getByRole("row", { name: "bob" }).click();
  await bubble(second, "from the first").waitFor();
  await say(second, "from the second");
  await bubble(first, "from the second").waitFor();
  const leader = () => second.evaluate(async () => (await navigator.locks.query()).held?.find((lock) => lock.name === "mifeng")?.clientId);
  const before = await leader();
  await first.close();
  await until("the second takes over", async () => {
    const now = await leader();
    return now !== undefined && now !== before ? now : undefined;
  });
  await connected(second);
  await say(second, "from who is left");
  await bubble(second, "from who is left", "Sent").waitFor();
  const said = bob.run("tail", "@hal", "-n", "100").map((line) => line["text"]);
  assert.deepEqual(said, ["from the first", "from the second", "from who is left"]);
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("a browser becomes a further device of somebody, who confirms it at the command line", async () => {
  const browser = stage.browser("bob-browser");
  const page = await browser.start();
  await links(page, bob, "bob");
  assert.equal(bob.run("devices").filter((device) => device["state"] === "active").length, 2);
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("nothing that was said, and no key, lies readable in the browser's files", async () => {
  const browser = stage.browser("ida-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "ida");
  await begin(page, "bob");
  await say(page, "canary-7d1f-in-the-browser");
  await bubble(page, "canary-7d1f", "Sent").waitFor();
  browser.kill();
  const files = filesBelow(join(browser.profile, "chromium"));
  const all = files.map((file) => readFileSync(file));
  const holds = (needle: string) => files.filter((_, at) => all[at]?.includes(needle));
  assert.ok(holds("device.db").length > 0, "the control: the database is here");
  assert.deepEqual(holds("canary-7d1f-in-the-browser"), []);
  const database = files.filter((file) => file.includes("File System") && statSync(file).size > 4_096);
  for (const file of database) assert.ok(!readFileSync(file).includes("CREATE TABLE"), file);
});

test("a page that is narrow shows one thing at a time", async () => {
  const browser = stage.browser("jon-browser");
  const page = await browser.start();
  await page.setViewportSize({ width: 390, height: 800 });
  await joins(page, stage.invite(), "jon");
  await begin(page, "bob");
  await say(page, "from a phone");
  await bubble(page, "from a phone", "Sent").waitFor();
  assert.equal(await page.getByRole("grid").isVisible(), false);
  await page.getByRole("button", { name: "Back" }).click();
  await page.getByRole("grid").waitFor();
  assert.equal(await composer(page).isVisible(), false);
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});
