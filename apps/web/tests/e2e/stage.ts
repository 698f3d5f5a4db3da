// The real programs: mifengd, mifeng, and Chromium with a profile of its own, which trusts that server's authority.

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser as Devtools, chromium, type Page } from "playwright-core";

const TENANT = "acme";
const PASSPHRASE = "only for tests: 7 lanterns under a bridge";
export const PASSWORD = "a password of some length";
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const SWITCHES = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--lang=en-US", "--remote-debugging-port=0",
  "--window-size=1200,800", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
];

function program(variable: string): string {
  const path = process.env[variable];
  if (path === undefined || !existsSync(path)) throw new Error(`${variable} names no program: cargo xtask web test`);
  return path;
}

export async function until<T>(what: string, ask: () => T | undefined | Promise<T | undefined>, ms = 60_000): Promise<T> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain: ${what}`);
}

/** A server with one tenant, and a folder in which everything of a test is. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), "mifeng-web-"));
  #server: ChildProcess | undefined;
  #browsers: Browser[] = [];
  origin = "";

  static async open(): Promise<Stage> {
    const stage = new Stage();
    stage.#mifengd("init", "--host", "localhost");
    await stage.serve();
    stage.#mifengd("tenant", "create", TENANT);
    return stage;
  }

  /** Starts the server; after `stop`, where it was. */
  async serve(): Promise<void> {
    const log = openSync(join(this.folder, "log"), "a");
    const addresses = join(this.folder, "data/addresses.json");
    rmSync(addresses, { force: true });
    this.#server = spawn(program("MIFENGD"), [...this.#data(), "serve"], { env: this.#env(), stdio: ["ignore", log, log] });
    const read = () => (existsSync(addresses) ? (JSON.parse(readFileSync(addresses, "utf8")) as { clients: string }) : undefined);
    const { clients } = await until("the server listens", read);
    this.origin = `https://localhost:${clients.split(":").at(-1)}`;
  }

  /** Ends the server by SIGKILL; done when it is gone. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const ended = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGKILL");
    await ended;
  }

  invite(): string {
    const made = this.#mifengd("invite", "create", "--json", "--tenant", TENANT, "--expires", "1h");
    return (JSON.parse(made) as { link: string }).link;
  }

  /** A person who joins by the command line. */
  person(handle: string): Person {
    const person = new Person(join(this.folder, handle));
    person.run("join", this.invite(), "--handle", handle);
    return person;
  }

  browser(name: string): Browser {
    const browser = new Browser(join(this.folder, name), this.origin, join(this.folder, "data/tls/clients/ca.pem"));
    this.#browsers.push(browser);
    return browser;
  }

  close(): void {
    for (const browser of this.#browsers) browser.kill();
    this.#server?.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  #data(): string[] {
    return ["--data", join(this.folder, "data")];
  }

  #env(): NodeJS.ProcessEnv {
    const listen = "127.0.0.1:0";
    const clients = this.origin === "" ? listen : `127.0.0.1:${new URL(this.origin).port}`;
    return {
      ...process.env, MIFENG_ROOT_PASSPHRASE: PASSPHRASE, MIFENG_CLIENTS_LISTEN: clients, MIFENG_ADMIN_LISTEN: listen,
      MIFENG_INTERNAL_LISTEN: listen,
    };
  }

  #mifengd(...args: string[]): string {
    return execFileSync(program("MIFENGD"), [...this.#data(), ...args], { env: this.#env(), encoding: "utf8", stdio: "pipe" });
  }
}

/** A person at the command line. */
export class Person {
  constructor(readonly profile: string) {}

  run(...args: string[]): Record<string, unknown>[] {
    const env = { ...process.env, MIFENG_PASSWORD: PASSWORD };
    const done = spawnSync(program("MIFENG"), ["--profile", this.profile, "--json", ...args], { env, encoding: "utf8" });
    if (done.status !== 0) throw new Error(`mifeng ${args.join(" ")}: ${done.stderr}`);
    return done.stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** What was said, in order; what is no message says what it is instead. */
  texts(): string[] {
    const lines = this.run("tail", "-n", "10000").filter((line) => line["state"] !== "notice");
    return lines.map((line) => (line["state"] === "recorded" ? String(line["text"]) : `${String(line["state"])}: ${String(line["reason"])}`));
  }
}

/** Chromium, as a process group that can be killed at once. */
export class Browser {
  #process: ChildProcess | undefined;
  #devtools: Devtools | undefined;
  /** What the page complained about: errors, and what its policy forbade. */
  readonly complaints: string[] = [];

  /** One that trusts this server's authority, if there is one. */
  constructor(readonly profile: string, readonly origin: string, authority?: string) {
    const store = join(profile, ".pki/nssdb");
    mkdirSync(store, { recursive: true });
    if (authority === undefined) return;
    execFileSync("certutil", ["-N", "-d", `sql:${store}`, "--empty-password"]);
    execFileSync("certutil", ["-A", "-d", `sql:${store}`, "-n", "mifeng", "-t", "C,,", "-i", authority]);
  }

  async start(): Promise<Page> {
    const data = join(this.profile, "chromium");
    const port = join(data, "DevToolsActivePort");
    rmSync(port, { force: true });
    const args = [...SWITCHES, `--user-data-dir=${data}`, "about:blank"];
    this.#process = spawn(CHROMIUM, args, { detached: true, stdio: "ignore", env: { ...process.env, HOME: this.profile } });
    const address = await until("Chromium starts", () => {
      const [number, path] = existsSync(port) ? readFileSync(port, "utf8").trim().split("\n") : [];
      return path === undefined ? undefined : `ws://127.0.0.1:${number}${path}`;
    });
    this.#devtools = await chromium.connectOverCDP(address);
    return this.tab();
  }

  async tab(): Promise<Page> {
    const context = this.#devtools?.contexts()[0];
    if (!context) throw new Error("the browser does not run");
    const page = await context.newPage();
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => message.type() === "error" && this.complaints.push(message.text()));
    await page.goto(this.origin);
    return page;
  }

  /** SIGKILL to every process of it: nothing is flushed, nothing is said. */
  kill(): void {
    if (this.#process?.pid === undefined) return;
    try {
      process.kill(-this.#process.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    this.#process = undefined;
  }
}

// What a person does in a page.

export async function joins(page: Page, invite: string, handle: string): Promise<void> {
  await page.getByLabel("Invite").fill(invite);
  await page.getByLabel("Handle").fill(handle);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Join" }).click();
  await connected(page);
}

/** The page becomes a further device of a person, who confirms it at the command line. */
export async function links(page: Page, person: Person, handle: string): Promise<void> {
  await page.getByRole("tab", { name: "Log in" }).click();
  await page.getByLabel("Organisation").fill("acme");
  await page.getByLabel("Handle").fill(handle);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  const code = await page.locator("output.code").textContent({ timeout: 120_000 });
  const number = await page.locator("output.number").textContent();
  person.run("devices", "confirm", code ?? "", "--number", number ?? "");
  await connected(page);
}

export async function connected(page: Page): Promise<void> {
  await page.getByRole("status").filter({ hasText: /^Connected$/ }).waitFor({ timeout: 120_000 });
}

export async function begin(page: Page, people: string, name?: string): Promise<void> {
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.getByLabel("With whom").fill(people);
  if (name !== undefined) await page.getByLabel("Name of the group").fill(name);
  await page.getByRole("button", { name: "Create" }).click();
  await composer(page).waitFor();
}

/** Calls of the client, one after the other, asked for as another tab's worker does. For what no person would type so often. */
export function ask(page: Page, method: string, calls: unknown[][]): Promise<unknown[]> {
  return page.evaluate(async ({ method, calls }) => {
    const channel = new BroadcastChannel("mifeng");
    const from = crypto.randomUUID();
    const answers: unknown[] = [];
    for (const [id, args] of calls.entries()) {
      await new Promise<void>((resolve, reject) => {
        channel.onmessage = ({ data }) => {
          if (data.kind !== "answer" || data.to !== from || data.id !== id) return;
          if ("value" in data.outcome) resolve(void answers.push(data.outcome.value));
          else reject(new Error(data.outcome.failure.message));
        };
        channel.postMessage({ kind: "call", from, request: { id, method, args } });
      });
    }
    channel.close();
    return answers;
  }, { method, calls });
}

/** The conversation that is shown. */
export function shownConversation(page: Page): string {
  return new URL(page.url()).hash.split("/")[2] ?? "";
}

/** Until the service worker has kept the page's files. */
export async function kept(page: Page): Promise<void> {
  const isKept = () => page.evaluate(() => navigator.serviceWorker.controller?.state === "activated");
  await until("the page's files are kept", async () => ((await isKept()) ? true : undefined));
}

export function composer(page: Page) {
  return page.getByRole("textbox", { name: "Write a message" });
}

export async function say(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press("Enter");
}

/** The bubble with these words, and `mark` under it. */
export function bubble(page: Page, words: string, mark: string | RegExp = "") {
  return page.locator(".bubble").filter({ hasText: words }).filter({ hasText: mark });
}

/** Every file in a folder. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** A coloured rectangle: what colour, where, how large. */
export type Shape = [string, number, number, number, number];

/** A JPEG of such. */
export async function painted(page: Page, shapes: Shape[], size: { width: number; height: number }): Promise<Buffer> {
  return Buffer.from(await page.evaluate(async ({ shapes, size }) => {
    const canvas = new OffscreenCanvas(size.width, size.height);
    const context = canvas.getContext("2d");
    if (!context) throw new Error("no canvas");
    for (const [color, ...place] of shapes) {
      context.fillStyle = color;
      context.fillRect(...place);
    }
    return [...new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 })).arrayBuffer())];
  }, { shapes, size }));
}

/** A file is chosen, which the browser reads from the disk, as it does for a person; it is not passed to it piece by piece. */
export async function chooses(page: Page, path: string): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const { root } = await devtools.send("DOM.getDocument");
  const { nodeId } = await devtools.send("DOM.querySelector", { nodeId: root.nodeId, selector: 'input[type="file"]' });
  await devtools.send("DOM.setFileInputFiles", { nodeId, files: [path] });
  await page.getByRole("list", { name: "Attach files" }).waitFor();
}
