// The tab's end of the line to the client. Nothing is kept here: what is shown is asked for when it may have changed.

import type { Answer, Arguments, Method, Outcome, Report, Request } from "./protocol";
import { scriptUrl } from "./scripts";
import type { Event } from "./wasm/mifeng_wasm";
import workerUrl from "./worker?worker&url";

/** What went wrong with a call; `name` is a stable code. */
export class CallError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

export class Session {
  #worker = new Worker(scriptUrl(workerUrl), { type: "module", name: "mifeng" });
  #waiting = new Map<number, (outcome: Outcome) => void>();
  #listeners = new Set<(event: Event) => void>();
  #next = 1;
  #answered: () => void = () => undefined;
  /** Kept when the first answer has come, or none will: all files of the page have been loaded then. */
  readonly answered = new Promise<void>((resolve) => (this.#answered = resolve));

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<Report>) => this.#hear(data);
    this.#worker.onerror = (event) => {
      this.#answered();
      this.#tell({ type: "failed", reason: event.message || "the worker did not start" });
    };
  }

  call<M extends Method>(method: M, ...args: Arguments<M>): Promise<Answer<M>> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (outcome) => {
        if ("value" in outcome) resolve(outcome.value as Answer<M>);
        else reject(new CallError(outcome.failure.name, outcome.failure.message));
      });
      this.#worker.postMessage({ id, method, args } satisfies Request);
    });
  }

  /** Hears every event until the returned function is called. */
  listen(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #hear(report: Report): void {
    if (report.kind === "event") return this.#tell(report.event);
    this.#answered();
    const waiting = this.#waiting.get(report.id);
    this.#waiting.delete(report.id);
    waiting?.(report.outcome);
  }

  #tell(event: Event): void {
    for (const listener of this.#listeners) listener(event);
  }
}
