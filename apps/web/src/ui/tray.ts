// The files that wait in each conversation: made ready, and sealed one after the other. They belong to no screen: what a person has sent
// goes on when they look at something else.

import { useSyncExternalStore } from "react";
import { sendFile, type Parcel } from "../core/files";
import { remade } from "../core/picture";
import { say } from "../words";
import { session } from "./client";

/** A file that waits. */
export interface Item {
  key: number;
  name: string;
  /** What was chosen; what was spoken has been made here. */
  file?: File;
  /** What will be sent; it is being made until there is one. */
  parcel?: Parcel;
  /** Which share of it is sealed, once it is to be sent. */
  share?: number;
  /** The message that it answers. */
  replyTo?: string;
  /** Why it cannot be sent. */
  problem?: string;
  given: AbortController;
}

export class Tray {
  #items: readonly Item[] = [];
  #listeners = new Set<() => void>();
  #next = 1;
  #isSending = false;

  constructor(readonly conversation: string) {}

  get items(): readonly Item[] {
    return this.#items;
  }

  /** Something would go if it were sent now. */
  get waits(): boolean {
    return this.#items.some(mayGo);
  }

  listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** Takes files in; they wait for `send`. */
  add(files: Iterable<File>): void {
    for (const file of files) {
      const item: Item = { key: this.#next++, name: file.name, file, given: new AbortController() };
      this.#set([...this.#items, item]);
      void this.#prepare(item.key, file);
    }
  }

  /** Sends what was made here. */
  addReady(parcel: Parcel, replyTo: string | undefined): void {
    const item: Item = { key: this.#next++, name: parcel.details.name, parcel, share: 0, given: new AbortController() };
    this.#set([...this.#items, { ...item, ...(replyTo !== undefined && { replyTo }) }]);
    void this.#run();
  }

  drop({ key, given }: Item): void {
    given.abort();
    this.#set(this.#items.filter((item) => item.key !== key));
  }

  /** Sends a file as it was chosen. */
  sendAsItIs({ key, file }: Item): void {
    this.#change(key, (item) => ({ ...waiting(item), ...(file && { parcel: asAny(file) }), share: 0 }));
    void this.#run();
  }

  /** Sends what could not be sent once more, as it was made. */
  sendAgain({ key }: Item): void {
    this.#change(key, (item) => ({ ...waiting(item), share: 0 }));
    void this.#run();
  }

  /** Sends what can be sent, each once it is ready; the first answers a message. */
  send(replyTo: string | undefined): void {
    const first = this.#items.find(mayGo)?.key;
    this.#set(this.#items.map((item) => {
      if (!mayGo(item)) return item;
      return { ...item, share: 0, ...(item.key === first && replyTo !== undefined && { replyTo }) };
    }));
    void this.#run();
  }

  async #prepare(key: number, file: File): Promise<void> {
    try {
      const parcel = (await remade(file)) ?? asAny(file);
      this.#change(key, (item) => ({ ...item, name: parcel.details.name, parcel }));
    } catch {
      this.#change(key, (item) => ({ ...waiting(item), problem: say("notRemade") }));
    }
    void this.#run();
  }

  /** One after the other, in their order, however often it is asked for. What is still being made holds up the others. */
  async #run(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    const next = () => this.#items.find((item) => item.share !== undefined);
    for (let item = next(); item?.parcel; item = next()) {
      const { key, parcel, replyTo, given } = item;
      const told = (share: number) => this.#change(key, (item) => ({ ...item, share }));
      try {
        await sendFile(session, this.conversation, parcel, replyTo, told, given.signal);
        this.#set(this.#items.filter((item) => item.key !== key));
      } catch (error) {
        this.#change(key, (item) => ({ ...waiting(item), problem: reason(error) }));
      }
    }
    this.#isSending = false;
  }

  #change(key: number, to: (item: Item) => Item): void {
    this.#set(this.#items.map((item) => (item.key === key ? to(item) : item)));
  }

  #set(items: readonly Item[]): void {
    this.#items = items;
    for (const listener of this.#listeners) listener();
  }
}

/** Any file, as it is. */
function asAny(file: File): Parcel {
  return { bytes: file, details: { name: file.name, ...(file.type === "" ? {} : { mediaType: file.type.replace(/;.*$/, "") }) } };
}

/** Whether it is not on its way yet, and nothing is wrong with it. */
function mayGo({ share, problem }: Item): boolean {
  return share === undefined && problem === undefined;
}

/** The same, not on its way, and with nothing wrong. */
function waiting({ share: _, problem: __, ...item }: Item): Item {
  return item;
}

function reason(error: unknown): string {
  if (error instanceof Error && error.name === "full") return say("noRoom");
  return error instanceof Error ? error.message : String(error);
}

const trays = new Map<string, Tray>();

/** The files that wait in a conversation. */
export function useTray(conversation: string): Tray {
  const tray = trays.get(conversation) ?? new Tray(conversation);
  trays.set(conversation, tray);
  useSyncExternalStore(tray.listen, () => tray.items);
  return tray;
}
