// A voice message while it is spoken.

import { use, useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";
import { sendFile } from "../core/files";
import { Recording, RECORDING_MAX_MS } from "../core/voice";
import { clock } from "../text";
import { say } from "../words";
import { session, Tell } from "./client";
import { Icon } from "./parts";

const TICK_MS = 200;

export interface Recorder {
  recording: Recording | undefined;
  begin: () => void;
  drop: () => void;
  send: (replyTo: string | undefined) => void;
}

/** Records in a conversation. What is being spoken when it is left is dropped. */
export function useRecorder(conversation: string, sent: () => void): Recorder {
  const [recording, setRecording] = useState<Recording>();
  const current = useRef<Recording>(undefined);
  const isGone = useRef(false);
  const tell = use(Tell);
  const set = (next: Recording | undefined) => setRecording((current.current = next));
  useEffect(() => {
    isGone.current = false;
    return () => {
      isGone.current = true;
      void current.current?.stop();
    };
  }, []);
  /** Who is asked for the microphone may have gone on in between, or pressed twice. */
  const take = (next: Recording) => (isGone.current || current.current ? void next.stop() : set(next));
  return {
    recording,
    begin: () => void Recording.begin().then(take, () => tell(say("noMicrophone"))),
    drop: () => {
      void recording?.stop();
      set(undefined);
    },
    send: (replyTo) => {
      if (!recording) return;
      set(undefined);
      recording.finish()
        .then((parcel) => sendFile(session, conversation, parcel, replyTo, () => undefined, new AbortController().signal))
        .then(sent, (error: unknown) => tell(error instanceof Error ? error.message : String(error)));
    },
  };
}

export function RecordButton({ recorder }: { recorder: Recorder }) {
  return <Button className="quiet icon" aria-label={say("record")} onPress={recorder.begin}><Icon name="microphone" /></Button>;
}

export function RecordingBar({ recording, recorder, replyTo }: { recording: Recording; recorder: Recorder; replyTo: string | undefined }) {
  const [ms, setMs] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => {
      const passed = performance.now() - recording.begun;
      if (passed < RECORDING_MAX_MS) return setMs(passed);
      clearInterval(timer);
      void recording.stop();
    }, TICK_MS);
    return () => clearInterval(timer);
  }, [recording]);
  return (
    <div className="recording" role="group" aria-label={say("recording")}>
      <Button className="quiet icon" aria-label={say("discard")} onPress={recorder.drop}><Icon name="close" /></Button>
      <span className="dot" aria-hidden="true" />
      <span className="time" role="timer">{clock(ms)}</span>
      <Button className="primary icon" aria-label={say("send")} autoFocus onPress={() => recorder.send(replyTo)}><Icon name="send" /></Button>
    </div>
  );
}
