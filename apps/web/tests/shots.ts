// Takes the pictures of docs/screens: `npm run shots`, with MIFENGD and MIFENG as for the tests.

import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { ask, begin, bubble, connected, joins, painted, say, type Shape, shownConversation, Stage } from "./e2e/stage.js";

const FOLDER = new URL("../../../../docs/screens/", import.meta.url).pathname;
const MAX_BYTES = 150_000;

const WIDE = { width: 1100, height: 700 };
const PHONE = { width: 390, height: 780 };

async function take(page: Page, name: string): Promise<void> {
  // Nobody's pointer is anywhere, and what fades has faded.
  await page.mouse.move(0, 0);
  await page.waitForTimeout(400);
  const path = join(FOLDER, `${name}.png`);
  await page.screenshot({ path });
  const { size } = statSync(path);
  console.log(`${name}: ${size} bytes`);
  if (size > MAX_BYTES) throw new Error(`${name} has more than ${MAX_BYTES} bytes`);
}

async function speak(page: Page, languages: string): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const userAgent = await page.evaluate(() => navigator.userAgent);
  await devtools.send("Network.setUserAgentOverride", { userAgent, acceptLanguage: languages });
  await page.reload();
}

async function story(page: Page, stage: Stage): Promise<void> {
  const [lin, mei, tom] = ["lin", "mei", "tom"].map((handle) => stage.person(handle));
  await begin(page, "tom");
  await say(page, "The new **hive** is up. Shall we look at it together?");
  await bubble(page, "hive", "Sent").waitFor();
  tom?.run("send", "@ann", "Gladly. This afternoon?");
  await bubble(page, "this afternoon").waitFor();
  await begin(page, "lin mei", "Beekeepers 养蜂人");
  await page.getByRole("heading", { name: "Beekeepers" }).waitFor();
  const id = shownConversation(page);
  await ask(page, "setTopic", [[id, "Harvest, weather, and who brings the smoker"]]);
  await say(page, "Good morning! The acacia is in bloom, so the supers go on **this week**.");
  await bubble(page, "Good morning", "Sent").waitFor();
  const group = "Beekeepers 养蜂人";
  const [line] = lin?.run("tail", group).filter((line) => String(line["text"]).startsWith("Good")) ?? [];
  const target = String(line?.["id"]);
  lin?.run("reply", group, target, "太好了！我星期三带两个空继箱过来。");
  lin?.run("react", group, target, "🎉");
  mei?.run("tail");
  mei?.run("react", group, target, "👍");
  mei?.run("send", "--markdown", group, "What I still need:\n\n1. frames, *waxed*\n2. a `10 mm` spacer\n3. somebody who is not afraid of hive 4");
  await bubble(page, "not afraid").waitFor();
  await say(page, "@mei I am not afraid, see https://example.org/hive-4");
  await bubble(page, "I am not afraid", "Sent").waitFor();
  mei?.run("tail", group);
  await bubble(page, "I am not afraid", "Read").waitFor();
  tom?.run("send", "@ann", "I have the veil with me.");
  await page.getByRole("row", { name: "tom" }).locator(".unread").waitFor();
}

/** A picture, something spoken, and a list, to tom. */
async function files(page: Page): Promise<void> {
  await page.getByRole("row", { name: "tom" }).click();
  const meadow: Shape[] = [
    ["#bfe0f2", 0, 0, 800, 320], ["#ffd75e", 610, 60, 90, 90], ["#86b35a", 0, 300, 800, 200], ["#6a9a44", 0, 380, 800, 120],
    ["#e0a100", 190, 180, 130, 60], ["#f0b93a", 190, 240, 130, 60], ["#e0a100", 190, 300, 130, 70], ["#5b3d05", 235, 345, 40, 14],
    ["#f7f3e6", 420, 210, 130, 60], ["#e9e2cc", 420, 270, 130, 100], ["#5b3d05", 465, 345, 40, 14],
  ];
  const picture = await painted(page, meadow, { width: 800, height: 500 });
  await page.locator('input[type="file"]').setInputFiles([
    { name: "hives.jpg", mimeType: "image/jpeg", buffer: picture },
    { name: "Harvest 2026.pdf", mimeType: "application/pdf", buffer: Buffer.alloc(1_834_200, "%PDF-") },
  ]);
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await bubble(page, "Harvest", "Sent").waitFor();
  await page.getByRole("button", { name: "Record a voice message" }).click();
  await page.getByRole("timer").filter({ hasText: "0:04" }).waitFor();
  await page.getByRole("group", { name: "Recording" }).getByRole("button", { name: "Send" }).click();
  await page.locator(".voice").getByRole("button", { name: "Play" }).and(page.locator(":enabled")).waitFor();
  await page.getByRole("img", { name: "hives.jpg" }).waitFor();
}

const stage = await Stage.open();
try {
  mkdirSync(FOLDER, { recursive: true });
  const browser = stage.browser("ann-browser");
  const page = await browser.start();
  await page.setViewportSize(WIDE);
  await page.emulateMedia({ colorScheme: "light" });
  await page.getByLabel("Invite").waitFor();
  await take(page, "door");
  await joins(page, stage.invite(), "ann");
  await story(page, stage);
  await take(page, "group-light");
  await page.emulateMedia({ colorScheme: "dark" });
  await take(page, "group-dark");
  await page.getByRole("button", { name: "Members" }).click();
  await page.getByRole("dialog").getByText("@mei").waitFor();
  await take(page, "members-dark");
  await page.keyboard.press("Escape");
  await page.emulateMedia({ colorScheme: "light" });
  await page.getByRole("button", { name: "Details" }).click();
  await take(page, "details");
  await page.keyboard.press("Escape");
  await page.getByRole("searchbox").fill("hive");
  await page.getByRole("region", { name: "Messages" }).getByRole("button").first().click();
  await take(page, "search");
  await page.getByRole("searchbox").fill("");
  await files(page);
  await take(page, "files");
  await page.getByRole("row", { name: "Beekeepers" }).click();
  await page.setViewportSize(PHONE);
  await page.getByRole("button", { name: "Back" }).click();
  await page.getByRole("row", { name: "Beekeepers" }).waitFor();
  await take(page, "phone-list");
  await page.getByRole("row", { name: "Beekeepers" }).click();
  await bubble(page, "I am not afraid").waitFor();
  await take(page, "phone-chat");
  await page.setViewportSize(WIDE);
  await speak(page, "zh-CN");
  await bubble(page, "I am not afraid").waitFor();
  await page.getByRole("status").filter({ hasText: /^已连接$/ }).waitFor();
  await take(page, "group-chinese");
  await speak(page, "en");
  await connected(page);
} finally {
  stage.close();
}
