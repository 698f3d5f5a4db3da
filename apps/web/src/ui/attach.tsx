// How files come to wait to be sent: chosen, dropped or pasted; and how they look until they are gone.

import { useState, type DragEvent } from "react";
import { Button, FileTrigger } from "react-aria-components";
import { fileSize } from "../text";
import { language, say } from "../words";
import { useAddress } from "./file";
import { Icon } from "./parts";
import type { Item, Tray } from "./tray";

/** `dropped` is called when one was taken out: what had the focus is gone then. */
export function TrayView({ tray, dropped }: { tray: Tray; dropped: () => void }) {
  if (tray.items.length === 0) return null;
  return (
    <ul className="tray" aria-label={say("attach")}>
      {tray.items.map((item) => <ItemView key={item.key} item={item} tray={tray} dropped={dropped} />)}
    </ul>
  );
}

function ItemView({ item, tray, dropped }: { item: Item; tray: Tray; dropped: () => void }) {
  const { name, file, parcel, share, problem } = item;
  const thumbnail = parcel?.details.preview?.thumbnail;
  const { address } = useAddress(thumbnail !== undefined, async () => thumbnail && new Blob([thumbnail as Uint8Array<ArrayBuffer>], { type: "image/jpeg" }));
  const drop = () => {
    tray.drop(item);
    dropped();
  };
  return (
    <li>
      {address === undefined ? <Icon name={parcel?.details.voice ? "microphone" : "file"} /> : <img src={address} alt="" />}
      <span className="words">
        <span className="title">{name}</span>
        <span className="dim">{fileSize(parcel?.bytes.size ?? file?.size ?? 0, language)}</span>
        {problem !== undefined && <span className="wrong" role="alert">{problem}</span>}
      </span>
      {share !== undefined && <progress value={share} aria-label={say("sealing")} />}
      {problem !== undefined && (parcel ? (
        <Button className="quiet" onPress={() => tray.sendAgain(item)}>{say("retry")}</Button>
      ) : (
        <Button className="quiet" onPress={() => tray.sendAsItIs(item)}>{say("sendAsItIs")}</Button>
      ))}
      <Button className="quiet icon small" aria-label={`${say("discard")}: ${name}`} onPress={drop}><Icon name="close" /></Button>
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
