// Files, pictures and voice messages, between browsers and with the command line.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { deflateSync, crc32 } from "node:zlib";
import type { Page } from "playwright-core";
import { ask, begin, type Browser, bubble, chooses, composer, filesBelow, joins, painted, type Person, say, shownConversation, Stage, until } from "./stage.js";

let stage: Stage;
let cleo: Person;
let [ann, bob]: [Browser | undefined, Browser | undefined] = [undefined, undefined];
let [page, other]: [Page | undefined, Page | undefined] = [undefined, undefined];
/** Pages of ann and of bob. */
const pages = () => {
  assert.ok(page && other);
  return { page, other };
};

before(async () => {
  stage = await Stage.open();
  cleo = stage.person("cleo");
  [ann, bob] = [stage.browser("ann"), stage.browser("bob")];
  [page, other] = [await ann.start(), await bob.start()];
  await joins(other, stage.invite(), "bob");
  await joins(page, stage.invite(), "ann");
  await begin(page, "bob cleo", "Files");
  await say(page, "here they come");
  await other.getByRole("row", { name: "Files" }).click();
  await bubble(other, "here they come").waitFor();
  await until("cleo is in", () => (cleo.texts().includes("here they come") ? true : undefined));
});
after(() => stage.close());

/** The mark of what the server has; somebody may have read it. */
const ARRIVED = /Sent|Read/;
const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const at = (name: string) => join(stage.folder, name);

/** What a person does to send a file: choose it, and send. */
async function sends(from: Page, ...files: { name: string; mimeType: string; buffer: Buffer }[]): Promise<void> {
  await from.locator('input[type="file"]').setInputFiles(files);
  await from.getByRole("list", { name: "Attach files" }).waitFor();
  await from.getByRole("button", { name: "Send", exact: true }).click();
}

/** Cleo's copy of the newest file of this name. */
async function cleoSaves(name: string): Promise<Buffer> {
  const line = await until(`cleo hears of ${name}`, () => {
    const lines = cleo.run("tail", "-n", "50");
    return lines.findLast((line) => JSON.stringify(line).includes(name) && line["id"] !== undefined);
  });
  const to = at(`${randomBytes(4).toString("hex")}-${name}`);
  cleo.run("save", String(line["conversation"]), String(line["id"]), to);
  return readFileSync(to);
}

/** What the browser gives when "Save" is pressed. */
async function saves(from: Page, name: string): Promise<{ bytes: Buffer; suggested: string }> {
  const download = from.waitForEvent("download");
  await from.getByRole("button", { name: `Save: ${name}` }).last().click();
  const got = await download;
  return { bytes: readFileSync(await got.path()), suggested: got.suggestedFilename() };
}

/** Red to the left and blue to the right, with a block in it that says how to turn it, and where it was taken. */
async function photograph(page: Page): Promise<Buffer> {
  const plain = await painted(page, [["#f00", 0, 0, 320, 320], ["#00f", 320, 0, 320, 320]], { width: 640, height: 320 });
  const turned = Buffer.from("4d4d002a00000008000101120003000000010006000000000000", "hex");
  const exif = Buffer.concat([Buffer.from("Exif\0\0"), turned, Buffer.from("canary: 48.8584 N, 2.2945 E")]);
  const head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(exif.length + 2, 2);
  return Buffer.concat([plain.subarray(0, 2), head, exif, plain.subarray(2)]);
}

/** A picture that claims a size, and has nothing of it. */
function png(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const [length, body, sum] = [Buffer.alloc(4), Buffer.concat([Buffer.from(type), data]), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 6, 0, 0, 0], 8);
  const rows = deflateSync(Buffer.alloc(1 << 16));
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))]);
}

test("a photograph is made anew, upright, and is shown on the other side", async () => {
  const { page, other } = pages();
  const buffer = await photograph(page);
  assert.ok(buffer.includes("canary"), "the control");
  await sends(page, { name: "holiday.jpeg", mimeType: "image/jpeg", buffer });
  const shown = other.getByRole("img", { name: "holiday.jpg" });
  await shown.waitFor({ timeout: 60_000 });
  const size = await shown.evaluate((image: HTMLImageElement) => [image.naturalWidth, image.naturalHeight]);
  assert.deepEqual(size, [320, 640], "it was turned");
  await page.locator(".picture").getByRole("img", { name: "holiday.jpg" }).waitFor();
  const kept = await cleoSaves("holiday.jpg");
  assert.ok(kept.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff])));
  assert.ok(!kept.includes("canary") && !kept.includes("Exif"));
  // Large, and away again.
  await other.getByRole("button", { name: "Show: holiday.jpg" }).click();
  await other.getByRole("dialog", { name: "holiday.jpg" }).waitFor();
  const { bytes, suggested } = await saves(other, "holiday.jpg");
  assert.equal(suggested, "holiday.jpg");
  assert.equal(digest(bytes), digest(kept));
  await other.keyboard.press("Escape");
  await other.getByRole("dialog", { name: "holiday.jpg" }).waitFor({ state: "detached" });
});

test("c3 any file goes both ways with the command line byte by byte, and none of them runs", async () => {
  const { page, other } = pages();
  const buffer = randomBytes(3_000_000);
  await sends(page, { name: "plan.bin", mimeType: "", buffer });
  await bubble(page, "plan.bin", ARRIVED).waitFor({ timeout: 60_000 });
  assert.equal(digest(await cleoSaves("plan.bin")), digest(buffer));
  await other.getByRole("button", { name: "Download: plan.bin" }).click();
  assert.equal(digest((await saves(other, "plan.bin")).bytes), digest(buffer));

  const hostile = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=\'run\'"><script>document.title="run"</script></svg>');
  writeFileSync(at("logo.svg"), hostile);
  cleo.run("file", shownConversation(page), at("logo.svg"));
  await bubble(page, "logo.svg").waitFor();
  assert.equal(await page.locator(".picture", { hasText: "logo.svg" }).count(), 0, "it is no picture");
  await page.getByRole("button", { name: "Download: logo.svg" }).click();
  const saved = await saves(page, "logo.svg");
  assert.equal(digest(saved.bytes), digest(hostile));
  assert.notEqual(await page.title(), "run");
});

test("neither contents nor names of files lie readable in the browser's files or the server's", async () => {
  const { page } = pages();
  const canary = `canary-${randomBytes(12).toString("hex")}`;
  await sends(page, { name: `${canary}.txt`, mimeType: "text/plain", buffer: Buffer.from(`${canary} `.repeat(20_000)) });
  await bubble(page, canary, ARRIVED).waitFor({ timeout: 60_000 });
  const held = [join(stage.folder, "ann/chromium"), join(stage.folder, "data")].map((folder) => filesBelow(folder));
  for (const files of held) {
    assert.ok(files.length > 5);
    for (const file of files) assert.ok(!readFileSync(file).includes(canary), file);
  }
});

test("a file survives the server's death, a pause and a page that is loaded again", async () => {
  const { page } = pages();
  const buffer = randomBytes(24 << 20);
  writeFileSync(at("film.bin"), buffer);
  await chooses(page, at("film.bin"));
  await stage.stop();
  await page.getByRole("button", { name: "Send", exact: true }).click();
  // It goes on, whatever else is looked at.
  await page.evaluate(() => void (location.hash = "#/"));
  await composer(page).waitFor({ state: "detached" });
  await page.getByRole("row", { name: "Files" }).click();
  await page.getByRole("button", { name: "Pause: film.bin" }).click({ timeout: 120_000 });
  await bubble(page, "film.bin", "Paused").waitFor();
  // Words do not wait for it.
  await stage.serve();
  await say(page, "before the film");
  await bubble(page, "before the film", ARRIVED).waitFor({ timeout: 60_000 });
  await bubble(page, "film.bin", "Waiting").waitFor();
  await page.reload();
  await page.getByRole("button", { name: "Go on: film.bin" }).click({ timeout: 60_000 });
  await bubble(page, "film.bin", ARRIVED).waitFor({ timeout: 120_000 });
  assert.equal(digest(await cleoSaves("film.bin")), digest(buffer));
});

test("what is dropped or pasted waits to be sent, and can be taken out again", async () => {
  const { page } = pages();
  const give = (type: "drop" | "paste", name: string) => page.evaluate(({ type, name }) => {
    const data = new DataTransfer();
    data.items.add(new File(["some words"], name, { type: "text/plain" }));
    const target = document.querySelector(type === "drop" ? ".scroller" : "textarea");
    const event = type === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
      : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
    target?.dispatchEvent(event);
  }, { type, name });
  await give("drop", "dropped.txt");
  await give("paste", "pasted.txt");
  const waiting = page.getByRole("list", { name: "Attach files" });
  await waiting.getByText("dropped.txt").waitFor();
  await page.getByRole("button", { name: "Discard: dropped.txt" }).click();
  await composer(page).press("Enter");
  await bubble(page, "pasted.txt", ARRIVED).waitFor({ timeout: 60_000 });
  assert.equal(await bubble(page, "dropped.txt").count(), 0);
});

test("c4 a picture that is damaged or far too large is refused at either end, and says so", async () => {
  const { page, other } = pages();
  const bomb = png(60_000, 60_000);
  await page.locator('input[type="file"]').setInputFiles({ name: "bomb.png", mimeType: "image/png", buffer: bomb });
  await page.getByRole("alert").filter({ hasText: "cannot be made anew" }).waitFor();
  await page.getByRole("button", { name: "Send as it is" }).click();
  await bubble(page, "bomb.png", ARRIVED).waitFor({ timeout: 60_000 });
  await bubble(other, "bomb.png").waitFor();

  // A member whose client is not ours says that it is a small picture, and that noise was spoken.
  const thumbnails = [await painted(page, [["#0a0", 0, 0, 40, 40]], { width: 40, height: 40 }), png(14_000, 14_000)];
  for (const thumbnail of thumbnails) {
    await forges(page, bomb, { name: "small.png", mediaType: "image/png", preview: { width: 40, height: 40, thumbnail: [...thumbnail] } });
  }
  await forges(page, randomBytes(900), { name: "voice.webm", mediaType: "audio/webm", voice: { durationMs: 4_000_000_000, waveform: [1, 2] } });
  const refused = other.locator(".picture").filter({ hasText: "This picture cannot be shown." });
  await until("both are refused", async () => ((await refused.count()) === 2 ? true : undefined));
  await refused.locator("img.blurred").first().waitFor();
  assert.equal(await refused.locator("img.blurred").count(), 1, "a thumbnail that is none is not looked at");
  assert.equal(await other.getByRole("img", { name: "small.png" }).count(), 0);
  await other.locator(".voice").filter({ hasText: "It cannot be played." }).waitFor({ timeout: 60_000 });
  await page.locator("li.own:has(.voice)").hover();
  await page.locator("li.own:has(.voice)").getByRole("button", { name: "More" }).click();
  await page.getByRole("button", { name: "Delete" }).click();
  await other.locator(".voice").waitFor({ state: "detached" });
});

/** Has the client send a file with details that the page would not make. */
async function forges(page: Page, bytes: Buffer, details: object): Promise<void> {
  const [begun] = (await ask(page, "beginFile", [[bytes.length]])) as [{ blob: string }];
  await ask(page, "addToFile", [[begun.blob, [...bytes]]]);
  await ask(page, "sendFile", [[shownConversation(page), begun.blob, details]]);
}

test("a further tab sends and shows files through the one that leads", async () => {
  const { other } = pages();
  assert.ok(ann);
  const tab = await ann.tab();
  await tab.getByRole("row", { name: "Files" }).click();
  await tab.getByRole("img", { name: "holiday.jpg" }).waitFor({ timeout: 60_000 });
  const buffer = randomBytes(700_000);
  await sends(tab, { name: "from-a-tab.bin", mimeType: "", buffer });
  await bubble(tab, "from-a-tab.bin", ARRIVED).waitFor({ timeout: 60_000 });
  await other.getByRole("button", { name: "Download: from-a-tab.bin" }).click();
  assert.equal(digest((await saves(other, "from-a-tab.bin")).bytes), digest(buffer));
  await tab.close();
});

test("something spoken is recorded, shown as a wave, and heard at any speed", async () => {
  const { page, other } = pages();
  await page.getByRole("button", { name: "Record a voice message" }).click();
  const bar = page.getByRole("group", { name: "Recording" });
  await bar.getByRole("timer").filter({ hasText: "0:02" }).waitFor({ timeout: 30_000 });
  await bar.getByRole("button", { name: "Send" }).click();
  await page.locator(".bubble:has(.voice)").filter({ hasText: ARRIVED }).waitFor({ timeout: 60_000 });

  const heard = other.locator(".voice");
  await heard.locator(".wave path:not(.heard)").waitFor({ state: "attached", timeout: 60_000 });
  const bars = ((await heard.locator(".wave path:not(.heard)").getAttribute("d")) ?? "").split("M").length - 1;
  assert.ok(bars > 40 && bars <= 128, `${bars} bars`);
  await heard.getByRole("button", { name: "Speed 1×" }).click();
  await heard.getByRole("button", { name: "Speed 1.5×" }).click();
  await heard.getByRole("button", { name: "Play" }).click();
  const sound = heard.locator("audio");
  const [rate, length] = await sound.evaluate((audio: HTMLAudioElement) => [audio.playbackRate, audio.duration] as const);
  assert.equal(rate, 2);
  assert.ok(length > 1.5 && length < 30, `${length} seconds`);
  await until("it plays", async () => ((await sound.evaluate((audio: HTMLAudioElement) => audio.currentTime > 0.5)) ? true : undefined));
  await heard.getByRole("button", { name: "Play" }).waitFor({ timeout: 30_000 });
  const kept = await cleoSaves("voice.webm");
  assert.ok(kept.subarray(0, 4).equals(Buffer.from([0x1a, 0x45, 0xdf, 0xa3])), "it is WebM");
  // One that is dropped leaves nothing.
  await page.getByRole("button", { name: "Record a voice message" }).click();
  await bar.getByRole("button", { name: "Discard" }).click();
  await bar.waitFor({ state: "detached" });
  assert.equal(await page.locator(".voice").count(), 1);
});

test("when the browser has no more room, it says so, and nothing else is lost", async () => {
  const { page } = pages();
  const devtools = await page.context().newCDPSession(page);
  const { usage } = await page.evaluate(() => navigator.storage.estimate());
  await devtools.send("Storage.overrideQuotaForOrigin", { origin: stage.origin, quotaSize: (usage ?? 0) + (2 << 20) });
  // Noise, which no encoder makes small, and behind its end what it is not to tell.
  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(2_600, 2_000);
    const context = canvas.getContext("2d", { alpha: false });
    const pixels = context?.createImageData(2_600, 2_000);
    if (!context || !pixels) throw new Error("no canvas");
    for (let at = 0; at < pixels.data.length; at += 64_000) crypto.getRandomValues(pixels.data.subarray(at, at + 64_000));
    for (let at = 3; at < pixels.data.length; at += 4) pixels.data[at] = 255;
    context.putImageData(pixels, 0, 0);
    const data = new DataTransfer();
    data.items.add(new File([await canvas.convertToBlob({ type: "image/png" }), "canary: 48.8584 N"], "large.png", { type: "image/png" }));
    document.querySelector(".scroller")?.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "There is no room for it on this device." }).waitFor({ timeout: 60_000 });
  await devtools.send("Storage.overrideQuotaForOrigin", { origin: stage.origin });
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".picture").getByRole("img", { name: "large.png" }).waitFor({ timeout: 60_000 });
  const kept = await cleoSaves("large.png");
  assert.ok(kept.length > 10 << 20 && !kept.includes("canary"), "it is still the one that was made anew");
  await say(page, "still here");
  await bubble(page, "still here", ARRIVED).waitFor({ timeout: 60_000 });
});

test("nothing was forbidden and nothing failed in either page", () => {
  const isOurs = (text: string) => !/Failed to load resource|WebSocket|net::ERR/.test(text);
  assert.deepEqual([...(ann?.complaints ?? []), ...(bob?.complaints ?? [])].filter(isOurs), []);
});
