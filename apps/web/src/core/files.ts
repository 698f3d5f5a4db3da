// The way of a file between the page and the client: part by part, so that none is ever in memory as a whole.

import type { Session } from "./session";
import type { FileDetails } from "./wasm/mifeng_wasm";

/** So many parts become one piece that the browser can put on its disk. */
const TOGETHER = 64;
/** A file that was saved is in the browser's hands after this time. */
const HANDED_OVER_MS = 60_000;

/** Where a file is named. */
export interface Carrier {
  conversation: string;
  message: string;
}

/** What is to be sent. */
export interface Parcel {
  bytes: Blob;
  details: FileDetails;
}

/** Seals a file and sends it; `told` hears which share is sealed. Nothing is left of it when it fails or is given up. */
export async function sendFile(
  session: Session, conversation: string, { bytes, details }: Parcel, replyTo: string | undefined, told: (share: number) => void,
  given: AbortSignal,
): Promise<void> {
  const { blob, partBytes } = await session.call("beginFile", bytes.size);
  const discard = () => session.call("discardFile", blob).catch(() => undefined);
  // Its parts are with the tab that leads, which may stay when this one goes.
  addEventListener("pagehide", discard);
  try {
    for (let at = 0; at < bytes.size; at += partBytes) {
      given.throwIfAborted();
      const part = await bytes.slice(at, at + partBytes).arrayBuffer();
      await session.call("addToFile", blob, new Uint8Array(part));
      told(Math.min(1, (at + partBytes) / bytes.size));
    }
    given.throwIfAborted();
    await session.call("sendFile", conversation, blob, details, replyTo);
  } catch (error) {
    await discard();
    throw error;
  } finally {
    removeEventListener("pagehide", discard);
  }
}

/** A file that is on this device. */
export async function openFile(session: Session, { conversation, message }: Carrier, type: string): Promise<Blob> {
  const pieces: Blob[] = [];
  let parts: BlobPart[] = [];
  for (let index = 0; ; index++) {
    const part = await session.call("filePart", conversation, message, index);
    if (part.length > 0) parts.push(part as Uint8Array<ArrayBuffer>);
    else return new Blob([...pieces, ...parts], { type });
    if (parts.length < TOGETHER) continue;
    pieces.push(new Blob(parts));
    parts = [];
  }
}

/** Gives a file to the person. Whatever its sender calls it: the browser takes it for bytes, and opens it nowhere here. */
export async function saveFile(session: Session, from: Carrier, name: string): Promise<void> {
  const url = URL.createObjectURL(await openFile(session, from, "application/octet-stream"));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), HANDED_OVER_MS);
}
