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
  /** Which share of it is sealed, once it is being sent. */
  share?: number;
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
  /** Sends what is ready; the first answers a message. */
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
      update(key, { problem: say("notRemade"), mayGoAsItIs: true });
    }
  };
  const next = () => latest.current.find((item) => item.parcel && item.share !== undefined);
  /** One after the other, in their order, however often it is asked for. */
  const run = async (replyTo: string | undefined) => {
    if (isSending.current) return;
    isSending.current = true;
    for (let item = next(), answers = replyTo; item?.parcel; item = next(), answers = undefined) {
      const { key, parcel, given } = item;
      try {
        await sendFile(session, conversation, parcel, answers, (share) => update(key, { share }), given.signal);
        remove(key);
        sent();
      } catch (error) {
        change((items) => items.map((one) => (one.key === key ? stuck(one, error) : one)));
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
    send: (replyTo) => {
      change((items) => items.map((item) => (item.parcel && item.problem === undefined ? { share: 0, ...item } : item)));
      void run(replyTo);
    },
  };
}

/** Any file, as it is. */
function asAny(file: File): Parcel {
  return { bytes: file, details: { name: file.name, ...(file.type === "" ? {} : { mediaType: file.type.replace(/;.*$/, "") }) } };
}

/** One that could not be sent waits again, and says why. */
function stuck({ key, file, parcel, given }: Item, error: unknown): Item {
  const isFull = error instanceof Error && error.name === "full";
  const problem = isFull ? say("noRoom") : error instanceof Error ? error.message : String(error);
  return { key, file, ...(parcel && { parcel }), given, problem };
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
      {problem !== undefined && parcel && <Button className="quiet" onPress={() => tray.asItIs(item)}>{say("retry")}</Button>}
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
