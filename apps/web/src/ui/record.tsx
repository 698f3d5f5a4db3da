// A voice message while it is spoken.

import { use, useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";
import { Recording, RECORDING_MAX_MS } from "../core/voice";
import { clock } from "../text";
import { say } from "../words";
import { Tell } from "./client";
import { Icon } from "./parts";
import type { Tray } from "./tray";

const TICK_MS = 200;

export interface Recorder {
  recording: Recording | undefined;
  begin: () => void;
  drop: () => void;
  send: (replyTo: string | undefined) => void;
}

/** Records in a conversation. What is being spoken when it is left is dropped. */
export function useRecorder(tray: Tray): Recorder {
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
      set(undefined);
      void recording?.finish().then((parcel) => tray.addReady(parcel, replyTo));
    },
  };
}

export function RecordButton({ recorder }: { recorder: Recorder }) {
  return <Button className="quiet icon" aria-label={say("record")} onPress={recorder.begin}><Icon name="microphone" /></Button>;
}

interface BarProps {
  recording: Recording;
  onDrop: () => void;
  onSend: () => void;
}

export function RecordingBar({ recording, onDrop, onSend }: BarProps) {
  const [ms, setMs] = useState(0);
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const timer = setInterval(() => {
      setMs(recording.lengthMs);
      if (recording.lengthMs > RECORDING_MAX_MS) void recording.stop();
    }, TICK_MS);
    // By the limit, or because the microphone is gone.
    void recording.ended.then(() => {
      clearInterval(timer);
      setMs(recording.lengthMs);
      setOver(true);
    });
    return () => clearInterval(timer);
  }, [recording]);
  return (
    <div className="recording" role="group" aria-label={say("recording")}>
      <Button className="quiet icon" aria-label={say("discard")} onPress={onDrop}><Icon name="close" /></Button>
      {!isOver && <span className="dot" aria-hidden="true" />}
      <span className="time" role="timer">{clock(ms)}</span>
      {isOver && <span className="dim" role="status">{say("recordingOver")}</span>}
      <Button className="primary icon" aria-label={say("send")} autoFocus onPress={onSend}><Icon name="send" /></Button>
    </div>
  );
}
