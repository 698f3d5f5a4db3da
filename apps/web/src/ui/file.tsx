// A file in a conversation: a picture, something spoken, or anything else, and how far it is on its way.

import { useEffect, useRef, useState, type RefObject } from "react";
import { Button } from "react-aria-components";
import { openFile, saveFile, type Carrier } from "../core/files";
import type { Attached, FileProgress } from "../core/wasm/mifeng_wasm";
import { fileSize } from "../text";
import { language, say } from "../words";
import { session, useDo, useEvents, useSampled, useTry } from "./client";
import { Icon } from "./parts";
import { Picture } from "./picture";
import { Voice } from "./voice";

const NOTHING: Opened = { address: undefined, isLost: false };
/** What is not larger comes by itself when it is seen. */
const BY_ITSELF_BYTES = 8 << 20;

export interface FileProps {
  from: Carrier;
  file: Attached;
}

export function FileView(props: FileProps) {
  const { preview, voice } = props.file;
  if (preview) return <Picture {...props} preview={preview} />;
  return voice ? <Voice {...props} voice={voice} /> : <Plain {...props} />;
}

function Plain(props: FileProps) {
  const way = useWay(props.from);
  const { name, size } = props.file;
  return (
    <div className="file">
      <Icon name="file" />
      <span className="words">
        <span className="title">{name}</span>
        <span className="dim">{fileSize(size, language)}</span>
      </span>
      <Way {...props} way={way} />
    </div>
  );
}

/** How far a file is, and what can be done about it. */
export interface FileWay {
  progress: FileProgress | undefined;
  /** All of it is on this device. */
  isHere: boolean;
  fetch: () => void;
  pause: () => void;
}

export function useWay({ conversation, message }: Carrier): FileWay {
  const [answer, again] = useSampled(
    (event) => event.type === "connection" || (event.type === "file" && event.message === message), "fileProgress", conversation, message,
  );
  const progress = answer ?? undefined;
  const perform = useDo();
  return {
    progress,
    isHere: progress?.state === "here" || progress?.state === "sending",
    fetch: () => void perform("fetchFile", conversation, message).then(again),
    pause: () => void perform("pauseFile", conversation, message).then(again),
  };
}

/** The bar, the words and the buttons of a file on its way. */
export function Way({ from, file, way, isLost = false }: FileProps & { way: FileWay; isLost?: boolean }) {
  const { progress, isHere, fetch, pause } = way;
  if (!progress) return null;
  const { state, paused, parts, ofParts, reason } = progress;
  const moves = state === "sending" || state === "fetching";
  const button = (word: Parameters<typeof say>[0], icon: "down" | "pause" | "play" | "again", act: () => void) => (
    <Button className="quiet icon small" aria-label={`${say(word)}: ${file.name}`} onPress={act}><Icon name={icon} /></Button>
  );
  return (
    <>
      {moves && <progress max={Math.max(1, ofParts)} value={parts} aria-label={say(state === "sending" ? "send" : "download")} />}
      {moves && paused && <span className="dim">{say("paused")}</span>}
      {state === "failed" && <span className="wrong">{say("notCarried")}{reason ? `: ${reason}` : ""}</span>}
      <span className="buttons">
        {state === "away" && button("download", "down", fetch)}
        {(state === "failed" || (isHere && isLost)) && button("retry", "again", fetch)}
        {moves && (paused ? button("resume", "play", fetch) : button("pause", "pause", pause))}
        {isHere && !isLost && <Save from={from} file={file} />}
      </span>
    </>
  );
}

export function Save({ from, file: { name } }: FileProps) {
  const attempt = useTry();
  return (
    <Button className="quiet icon small" aria-label={`${say("save")}: ${name}`} onPress={() => void attempt(saveFile(session, from, name))}>
      <Icon name="save" />
    </Button>
  );
}

/** Has a file come by itself once its place is on the screen, unless it is large. */
export function useComesWhenSeen(place: RefObject<Element | null>, { size }: Attached, { progress, fetch }: FileWay): void {
  const wanted = progress?.state === "away" && size <= BY_ITSELF_BYTES;
  useEffect(() => {
    if (!wanted || !place.current) return;
    const observer = new IntersectionObserver((seen) => {
      if (!seen.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      fetch();
    });
    observer.observe(place.current);
    return () => observer.disconnect();
  }, [wanted]);
}

/** The address of something that the browser shows or plays. */
export interface Opened {
  address: string | undefined;
  /** It could not be had; it is tried again when the connection, or the tab that leads, is another. */
  isLost: boolean;
}

/** A file that is here, for the browser to show or play it as what it may be; until it is not shown any more. */
export function useOpened({ conversation, message }: Carrier, { mediaType }: Attached, isHere: boolean): Opened {
  return useAddress(isHere && mediaType != null, () => openFile(session, { conversation, message }, mediaType ?? ""));
}

/** The address of some bytes, once they are wanted. */
export function useAddress(wanted: boolean, load: () => Promise<Blob | undefined>): Opened {
  const [opened, setOpened] = useState<Opened>(NOTHING);
  const [round, setRound] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEvents(({ type }) => {
    if (type === "connection" && opened.isLost) setRound(round + 1);
  });
  useEffect(() => {
    if (!wanted) return;
    let made: string | undefined;
    let isShown = true;
    latest.current().then(
      (blob) => {
        if (!isShown || !blob) return;
        made = URL.createObjectURL(blob);
        setOpened({ address: made, isLost: false });
      },
      () => isShown && setOpened({ address: undefined, isLost: true }),
    );
    return () => {
      isShown = false;
      if (made !== undefined) URL.revokeObjectURL(made);
      setOpened(NOTHING);
    };
  }, [wanted, round]);
  return opened;
}
