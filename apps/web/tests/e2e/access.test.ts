// Everybody can use it: axe looks at every view, light and dark.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { begin, bubble, joins, painted, type Person, say, Stage } from "./stage.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Axe {
  run(of: object, options: object): Promise<{ violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[]; passes: unknown[] }>;
}

let stage: Stage;
let bob: Person;
before(async () => {
  stage = await Stage.open();
  bob = stage.person("bob");
});
after(() => stage.close());

/** What axe finds wrong on the page as it is, in one colour scheme. */
async function found(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations, looked } = await page.evaluate(async () => {
    // What fades in has no colour yet.
    const passing = document.getAnimations().filter((animation) => animation.effect?.getComputedTiming().endTime !== Infinity);
    await Promise.all(passing.map((animation) => animation.finished.catch(() => undefined)));
    const { axe } = globalThis as unknown as { axe: Axe };
    // What react-aria reads out for a moment names buttons that may be gone by then.
    const { violations, passes } = await axe.run({ exclude: ["[data-live-announcer]"] }, { resultTypes: ["violations", "passes"] });
    return { violations, looked: passes.length };
  });
  assert.ok(looked > 5, "the control: axe has looked at something");
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 300)} ${failureSummary ?? ""}`));
}

/** Everything that is wrong, on all views. */
const wrong: string[] = [];

/** Looks at the page light and dark. */
async function clean(page: Page, view: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    wrong.push(...(await found(page)).map((what) => `${view}, ${colorScheme}: ${what}`));
  }
}

async function sheet(page: Page, name: string): Promise<void> {
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await clean(page, name);
  await dialog.getByRole("button", { name: "Close" }).click();
  await dialog.waitFor({ state: "detached" });
}

test("nothing on any view keeps anybody out", async () => {
  const browser = stage.browser("ann-browser");
  const page = await browser.start();
  await page.getByLabel("Invite").waitFor();
  await clean(page, "the door");
  await page.getByRole("tab", { name: "Log in" }).click();
  await clean(page, "logging in");
  await page.getByRole("tab", { name: "Join" }).click();
  await joins(page, stage.invite(), "ann");
  await clean(page, "an empty list");

  await page.getByRole("button", { name: "New conversation" }).click();
  await sheet(page, "a new conversation");
  await begin(page, "bob", "Bees 蜜蜂");
  await say(page, "hello *all*, see `code` and https://example.org\n\n- one\n- two\n\n> quoted");
  await bubble(page, "hello all", "Sent").waitFor();
  const line = bob.run("tail").find((line) => String(line["text"]).startsWith("hello"));
  bob.run("react", "Bees 蜜蜂", String(line?.["id"]), "👍");
  bob.run("reply", "Bees 蜜蜂", String(line?.["id"]), "hello @ann");
  await bubble(page, "hello @ann").waitFor();
  await page.getByRole("button", { name: "👍 bob" }).waitFor();
  await clean(page, "a group");
  await page.locator("li.own .bubble").hover();
  await page.locator("li.own").getByRole("button", { name: "More" }).click();
  await clean(page, "the menu of a line");
  await page.keyboard.press("Escape");
  for (const name of ["Members", "Details"]) {
    await page.getByRole("button", { name }).click();
    await sheet(page, name);
  }
  await begin(page, "bob");
  await say(page, "a needle");
  await bubble(page, "a needle", "Sent").waitFor();
  await page.getByRole("button", { name: "Safety number" }).click();
  await page.locator("output.safety").waitFor();
  await sheet(page, "a safety number");
  for (const name of ["Link a device", "Your devices", "Settings", "About"]) {
    await page.getByRole("button", { name: "Menu" }).click();
    if (name === "About") await clean(page, "the menu");
    await page.getByRole("menuitem", { name }).click();
    await sheet(page, name);
  }
  await page.getByRole("searchbox").fill("needle");
  await page.getByRole("region", { name: "Messages" }).getByRole("button").waitFor();
  await clean(page, "what was found");
  await page.setViewportSize({ width: 390, height: 780 });
  await clean(page, "a narrow conversation");
  await page.getByRole("button", { name: "Back" }).click();
  await clean(page, "a narrow list");

  assert.deepEqual(wrong, []);
  await page.evaluate(() => document.querySelector(".side")?.append(document.createElement("img")));
  assert.ok((await found(page)).some((what) => what.startsWith("image-alt")), "the control: a picture without words is found");
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("files of every kind, on their way in and out, keep nobody out", async () => {
  const browser = stage.browser("lea-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "lea");
  await begin(page, "bob");
  const picture = await painted(page, [["#fa0", 0, 0, 300, 200]], { width: 300, height: 200 });
  await page.locator('input[type="file"]').setInputFiles([
    { name: "hive.jpg", mimeType: "image/jpeg", buffer: picture },
    { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("\x89PNG\r\n\x1a\n", "latin1") },
    { name: "list.txt", mimeType: "text/plain", buffer: Buffer.from("smoker, veil") },
  ]);
  await page.getByRole("alert").waitFor();
  await clean(page, "files that wait");
  await page.getByRole("button", { name: "Discard: broken.png" }).click();
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await bubble(page, "list.txt", "Sent").waitFor();
  await page.getByRole("button", { name: "Record a voice message" }).click();
  await page.getByRole("timer").filter({ hasText: "0:01" }).waitFor();
  await clean(page, "recording");
  await page.getByRole("group", { name: "Recording" }).getByRole("button", { name: "Send" }).click();
  await page.locator(".voice").getByRole("button", { name: "Play" }).and(page.locator(":enabled")).waitFor();
  await page.getByRole("img", { name: "hive.jpg" }).waitFor();
  await clean(page, "files in a conversation");
  await page.getByRole("button", { name: "Show: hive.jpg" }).click();
  await sheet(page, "a picture alone");
  assert.deepEqual(wrong, []);
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});

test("a message is written, answered and found by the keyboard alone", async () => {
  const browser = stage.browser("kim-browser");
  const page = await browser.start();
  await joins(page, stage.invite(), "kim");
  await begin(page, "bob");
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await bubble(page, "by keyboard", "Sent").waitFor();
  const at = (role: string, name: string) => page.getByRole(role as "button", { name }).evaluate((element) => element === document.activeElement);
  const tabTo = async (role: string, name: string, key: string) => {
    for (let step = 0; step < 30; step++) {
      if (await at(role, name)) return;
      await page.keyboard.press(key);
    }
    throw new Error(`${name} is not reached`);
  };
  await tabTo("button", "Reply", "Shift+Tab");
  await page.keyboard.press("Enter");
  await page.keyboard.type("an answer");
  await page.keyboard.press("Enter");
  await bubble(page, "an answer").locator(".quoted").filter({ hasText: "by keyboard" }).waitFor();
  await tabTo("searchbox", "Search conversations and messages", "Shift+Tab");
  await page.keyboard.type("answer");
  await page.getByRole("region", { name: "Messages" }).getByRole("button").waitFor();
  await page.keyboard.press("Tab");
  for (let step = 0; step < 6 && !(await page.evaluate(() => document.activeElement?.classList.contains("finding"))); step++) {
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await page.locator("li.sought").filter({ hasText: "an answer" }).waitFor();
  assert.deepEqual(browser.complaints, []);
  browser.kill();
});
