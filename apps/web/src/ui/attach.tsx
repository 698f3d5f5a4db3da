// Files that wait to be sent: chosen, dropped or pasted, looked at, and sealed one after the other.

import { useRef, useState, type DragEvent } from "react";
import { Button, FileTrigger } from "react-aria-components";
import { sendFile, type Parcel } from "../core/files";
import { remade } from "../core/picture";
import { fileSize } from "../text";
import { language, say } from "../words";
import { session } from "./client";
import { useAddress } from "./file";
import { Icon } from "./parts";

/** A file that waits. */
interface Item {
  key: number;
  file: File;
  /** What will be sent; it is being made until there is one. */
  parcel?: Parcel;
  /** Which share of it is sealed, once it is to be sent. */
  share?: number;
  /** The message that it answers. */
  replyTo?: string;
  /** Why it cannot be sent. */
  problem?: string;
  /** It could not be made anew; the person may want it sent all the same. */
  mayGoAsItIs?: boolean;
  given: AbortController;
}

export interface Tray {
  items: Item[];
  add: (files: Iterable<File>) => void;
  drop: (item: Item) => void;
  asItIs: (item: Item) => void;
  /** Sends what could not be sent once more, as it was made. */
  again: (item: Item) => void;
  /** Sends what can be sent, each once it is ready; the first answers a message. */
  send: (replyTo: string | undefined) => void;
}

/** The files that wait in a conversation, and what is done with them. `sent` is called after each. */
export function useTray(conversation: string, sent: () => void): Tray {
  const [items, setItems] = useState<Item[]>([]);
  const latest = useRef(items);
  const keys = useRef(0);
  const isSending = useRef(false);
  const change = (to: (items: Item[]) => Item[]) => setItems((latest.current = to(latest.current)));
  const update = (key: number, part: Partial<Item>) => change((items) => items.map((item) => (item.key === key ? { ...item, ...part } : item)));
  const remove = (key: number) => change((items) => items.filter((item) => item.key !== key));
  const prepare = async ({ key, file }: Item) => {
    try {
      update(key, { parcel: (await remade(file)) ?? asAny(file) });
    } catch {
      change((items) => items.map((item) => (item.key === key ? { ...stuck(item, say("notRemade")), mayGoAsItIs: true } : item)));
    }
    void run();
  };
  /** One after the other, in their order, however often it is asked for. What is still being made holds up the others. */
  const run = async () => {
    if (isSending.current) return;
    isSending.current = true;
    const next = () => latest.current.find((item) => item.share !== undefined);
    for (let item = next(); item?.parcel; item = next()) {
      const { key, parcel, replyTo, given } = item;
      try {
        await sendFile(session, conversation, parcel, replyTo, (share) => update(key, { share }), given.signal);
        remove(key);
        sent();
      } catch (error) {
        change((items) => items.map((one) => (one.key === key ? stuck(one, reason(error)) : one)));
      }
    }
    isSending.current = false;
  };
  return {
    items,
    add: (files) => {
      const added = [...files].map((file): Item => ({ key: keys.current++, file, given: new AbortController() }));
      change((items) => [...items, ...added]);
      for (const item of added) void prepare(item);
    },
    drop: ({ key, given }) => {
      given.abort();
      remove(key);
    },
    asItIs: ({ key, file }) => change((items) => items.map((item) => (item.key === key ? { key, file, parcel: asAny(file), given: item.given } : item))),
    again: ({ key }) => {
      change((items) => items.map((item) => (item.key === key ? { ...stuck(item), share: 0 } : item)));
      void run();
    },
    send: (replyTo) => {
      const first = latest.current.find(mayGo)?.key;
      change((items) => items.map((item) => {
        if (!mayGo(item)) return item;
        return { ...item, share: 0, ...(item.key === first && replyTo !== undefined && { replyTo }) };
      }));
      void run();
    },
  };
}

/** Any file, as it is. */
function asAny(file: File): Parcel {
  return { bytes: file, details: { name: file.name, ...(file.type === "" ? {} : { mediaType: file.type.replace(/;.*$/, "") }) } };
}

/** Whether it is not on its way yet, and nothing is wrong with it. */
function mayGo({ share, problem }: Item): boolean {
  return share === undefined && problem === undefined;
}

/** One that is not on its way any more, and why. */
function stuck({ key, file, parcel, given }: Item, problem?: string): Item {
  return { key, file, ...(parcel && { parcel }), given, ...(problem !== undefined && { problem }) };
}

function reason(error: unknown): string {
  if (error instanceof Error && error.name === "full") return say("noRoom");
  return error instanceof Error ? error.message : String(error);
}

export function TrayView({ tray }: { tray: Tray }) {
  if (tray.items.length === 0) return null;
  return (
    <ul className="tray" aria-label={say("attach")}>
      {tray.items.map((item) => <ItemView key={item.key} item={item} tray={tray} />)}
    </ul>
  );
}

function ItemView({ item, tray }: { item: Item; tray: Tray }) {
  const { file, parcel, share, problem, mayGoAsItIs } = item;
  const thumbnail = parcel?.details.preview?.thumbnail;
  const address = useAddress(thumbnail !== undefined, async () => thumbnail && new Blob([thumbnail as Uint8Array<ArrayBuffer>], { type: "image/jpeg" }));
  return (
    <li>
      {address === undefined ? <Icon name="file" /> : <img src={address} alt="" />}
      <span className="words">
        <span className="title">{parcel?.details.name ?? file.name}</span>
        <span className="dim">{fileSize(parcel?.bytes.size ?? file.size, language)}</span>
        {problem !== undefined && <span className="wrong" role="alert">{problem}</span>}
      </span>
      {share !== undefined && <progress value={share} aria-label={say("sealing")} />}
      {mayGoAsItIs && <Button className="quiet" onPress={() => tray.asItIs(item)}>{say("sendAsItIs")}</Button>}
      {problem !== undefined && parcel && <Button className="quiet" onPress={() => tray.again(item)}>{say("retry")}</Button>}
      <Button className="quiet icon small" aria-label={`${say("discard")}: ${file.name}`} onPress={() => tray.drop(item)}><Icon name="close" /></Button>
    </li>
  );
}

export function AttachButton({ tray }: { tray: Tray }) {
  return (
    <FileTrigger allowsMultiple onSelect={(files) => files && tray.add(files)}>
      <Button className="quiet icon" aria-label={say("attach")}><Icon name="clip" /></Button>
    </FileTrigger>
  );
}

/** What makes an element take files that are dropped on it. */
export function useDropping(tray: Tray, takes: boolean) {
  const [isOver, setOver] = useState(false);
  const has = (event: DragEvent) => takes && event.dataTransfer.types.includes("Files");
  return {
    isOver,
    on: {
      onDragOver: (event: DragEvent) => {
        if (!has(event)) return;
        event.preventDefault();
        setOver(true);
      },
      onDragLeave: (event: DragEvent) => {
        if (!(event.relatedTarget instanceof Node && event.currentTarget.contains(event.relatedTarget))) setOver(false);
      },
      onDrop: (event: DragEvent) => {
        if (!has(event)) return;
        event.preventDefault();
        setOver(false);
        tray.add(event.dataTransfer.files);
      },
    },
  };
}
