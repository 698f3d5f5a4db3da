// A tab's worker. The workers of all tabs elect one that opens the database and runs the client; the others pass their calls
// on to it, and take over when it is gone.

import { databaseKey } from "./key";
import { type Failure, type Outcome, type Relayed, type Report, type Request, failureOf } from "./protocol";
import init, { type Event, Profile } from "./wasm/mifeng_wasm";
import wasm from "./wasm/mifeng_wasm_bg.wasm?url";

declare const __WASM_INTEGRITY__: string;

const LOCK = "mifeng";
const OPEN_ATTEMPTS = 25;
const OPEN_PAUSE_MS = 200;
const LEADER_GONE: Failure = { name: "lost", message: "the tab that was asked has been closed: it may have been done" };

/** The part of a worker's global object that is used; TypeScript's own description does not go together with that of a page. */
interface Scope {
  onmessage: (event: MessageEvent<Request>) => void;
  postMessage(report: Report): void;
}

const scope = self as unknown as Scope;
const channel = new BroadcastChannel("mifeng");
const own = crypto.randomUUID();
/** Calls that another tab's worker has, and that it takes its answer with if it ends. */
const passedOn = new Set<number>();
/** Calls that came before it was known who leads. */
const early: Request[] = [];
let role: "unknown" | "follows" | "leads" = "unknown";
let profile: Promise<Profile> | undefined;

scope.onmessage = ({ data }) => take(data);
channel.onmessage = ({ data }: MessageEvent<Relayed>) => void hear(data);
void navigator.locks.request(LOCK, lead);
void navigator.locks.query().then(({ held }) => {
  if (role === "unknown" && held?.some((lock) => lock.name === LOCK)) become("follows");
});

/** Holds the lock, and with it the database, until this worker ends. */
async function lead(): Promise<never> {
  profile = openPatiently();
  profile.catch((error: unknown) => tell({ type: "failed", reason: failureOf(error).message }));
  channel.postMessage({ kind: "leads" } satisfies Relayed);
  loseWhatWasPassedOn();
  become("leads");
  tell({ type: "connection" });
  return new Promise<never>(() => undefined);
}

/** The files of a tab that was just closed stay held for a moment. */
async function openPatiently(): Promise<Profile> {
  await init({ module_or_path: fetch(wasm, { integrity: __WASM_INTEGRITY__ }) });
  const url = `wss://${location.host}/v1/connect`;
  for (let attempt = 1; ; attempt++) {
    try {
      return await Profile.open(await databaseKey(), url, tell);
    } catch (error) {
      if (failureOf(error).name !== "storage" || attempt >= OPEN_ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, OPEN_PAUSE_MS));
    }
  }
}

function become(next: "follows" | "leads"): void {
  role = next;
  for (const request of early.splice(0)) take(request);
}

function take(request: Request): void {
  if (role === "unknown") early.push(request);
  else if (role === "leads") void run(request).then((outcome) => report({ kind: "answer", id: request.id, outcome }));
  else {
    passedOn.add(request.id);
    channel.postMessage({ kind: "call", from: own, request } satisfies Relayed);
  }
}

async function run({ method, args }: Request): Promise<Outcome> {
  try {
    const opened = await profile;
    if (!opened) throw new Error("not open");
    const call = opened[method] as (...args: unknown[]) => unknown;
    return { value: call.apply(opened, args) };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

async function hear(message: Relayed): Promise<void> {
  switch (message.kind) {
    case "call":
      if (role === "leads") {
        const { from, request } = message;
        channel.postMessage({ kind: "answer", to: from, id: request.id, outcome: await run(request) } satisfies Relayed);
      }
      return;
    case "answer":
      if (message.to === own && passedOn.delete(message.id)) {
        report({ kind: "answer", id: message.id, outcome: message.outcome });
      }
      return;
    case "event":
      return report({ kind: "event", event: message.event });
    case "leads":
      loseWhatWasPassedOn();
      if (role === "unknown") become("follows");
  }
}

function loseWhatWasPassedOn(): void {
  for (const id of passedOn) report({ kind: "answer", id, outcome: { failure: LEADER_GONE } });
  passedOn.clear();
}

function tell(event: Event): void {
  report({ kind: "event", event });
  channel.postMessage({ kind: "event", event } satisfies Relayed);
}

function report(report: Report): void {
  scope.postMessage(report);
}
