// How the screens ask the client: a hook that asks again whenever something may have changed.

import { createContext, startTransition, use, useEffect, useRef, useState } from "react";
import type { Answer, Arguments, Method } from "../core/protocol";
import { Session } from "../core/session";
import type { Event } from "../core/wasm/mifeng_wasm";

const FRAME_MS = 16;
const SAMPLE_MS = 200;

export const session = new Session();

/** Shows a sentence to the person for a while. */
export const Tell = createContext<(text: string) => void>(() => undefined);

/** Whether an event may change the list of conversations, or how things stand. A file on its way tells of every part. */
export function isOfList({ type }: Event): boolean {
  return type !== "typing" && type !== "contact" && type !== "file";
}

/** Hears events while the component is shown. */
export function useEvents(listener: (event: Event) => void): void {
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => session.listen((event) => latest.current(event)), []);
}

/**
 * The answer to a question, asked again after every event for which `about` says so, at most once a frame. `undefined`
 * until there is one, and when the question is refused.
 */
export function useAnswer<M extends Method>(
  about: (event: Event) => boolean,
  method: M,
  ...args: Arguments<M>
): [Answer<M> | undefined, () => void] {
  const { answer, key, again } = useAsked(about, method, args);
  return [answer?.key === key ? answer.value : undefined, again];
}

/** The same, but the last answer stays until there is one to other arguments. */
export function useKept<M extends Method>(
  about: (event: Event) => boolean,
  method: M,
  ...args: Arguments<M>
): [Answer<M> | undefined, () => void] {
  const { answer, again } = useAsked(about, method, args);
  return [answer?.value, again];
}

/** As `useAnswer`, for what changes faster than anybody looks: at most five times a second. */
export function useSampled<M extends Method>(
  about: (event: Event) => boolean,
  method: M,
  ...args: Arguments<M>
): [Answer<M> | undefined, () => void] {
  const { answer, key, again } = useAsked(about, method, args, SAMPLE_MS);
  return [answer?.key === key ? answer.value : undefined, again];
}

function useAsked<M extends Method>(about: (event: Event) => boolean, method: M, args: Arguments<M>, pauseMs = FRAME_MS) {
  const [answer, setAnswer] = useState<{ key: string; value: Answer<M> }>();
  const [round, setRound] = useState(0);
  const due = useRef(false);
  const key = JSON.stringify([method, ...args]);
  const again = () => {
    if (due.current) return;
    due.current = true;
    setTimeout(() => {
      due.current = false;
      setRound((round) => round + 1);
    }, pauseMs);
  };
  useEvents((event) => {
    if (about(event)) again();
  });
  useEffect(() => {
    let wanted = true;
    session.call(method, ...args).then(
      // Painting a long answer may take several frames, and gives way to what a person does.
      (value) => startTransition(() => { if (wanted) setAnswer({ key, value }); }),
      () => undefined,
    );
    return () => {
      wanted = false;
    };
    // The key stands for the arguments.
  }, [key, round]);
  return { answer, key, again };
}

/** Makes a call and tells the person if it is refused; whether it was done. */
export function useDo(): <M extends Method>(method: M, ...args: Arguments<M>) => Promise<boolean> {
  const attempt = useTry();
  return (method, ...args) => attempt(session.call(method, ...args));
}

/** Waits for something and tells the person if it fails; whether it was done. */
export function useTry(): (done: Promise<unknown>) => Promise<boolean> {
  const tell = use(Tell);
  return async (done) => {
    try {
      await done;
      return true;
    } catch (error) {
      tell(error instanceof Error ? error.message : String(error));
      return false;
    }
  };
}
