// A browser is killed at bad moments. What was accepted is there, is sent once, and its keys are not used twice: a ratchet
// that had gone back would make messages that the other side cannot open, or that are missing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { begin, bubble, composer, connected, joins, say, Stage, until } from "./stage.js";

let stage: Stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage.close());

const ROUNDS = 6;

test("a browser that is killed right after a send loses nothing and repeats nothing", async () => {
  const bob = stage.person("bob");
  const browser = stage.browser("ann-browser");
  let page = await browser.start();
  await joins(page, stage.invite(), "ann");
  await begin(page, "bob");
  const said: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (let number = 0; number < 3; number++) {
      said.push(`${round}.${number}`);
      await say(page, `${round}.${number}`);
      // The composer is empty again when the send was accepted: it is durable, and perhaps not sent.
      await until("the send was accepted", async () => ((await composer(page).inputValue()) === "" ? true : undefined));
    }
    browser.kill();
    page = await browser.start();
    await page.getByRole("row", { name: "bob" }).click();
    await bubble(page, `${round}.2`).waitFor();
  }
  await connected(page);
  await bubble(page, `${ROUNDS - 1}.2`, "Sent").waitFor();
  await say(page, "the end");
  await bubble(page, "the end", "Sent").waitFor();
  assert.deepEqual(bob.texts(), [...said, "the end"]);
  bob.run("send", "@ann", "all here");
  await bubble(page, "all here").waitFor();
  assert.equal(await page.locator(".bubble").count(), said.length + 2);
  assert.equal(await page.getByText("could not be decrypted").count(), 0);
});
