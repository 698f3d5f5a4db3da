// Something spoken: its waveform, and where in it one listens.

import { useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";
import type { Voice as Spoken } from "../core/wasm/mifeng_wasm";
import { clock } from "../text";
import { say } from "../words";
import { useComesWhenSeen, useOpened, useWay, Way, type FileProps } from "./file";
import { Icon } from "./parts";

const SPEEDS = [1, 1.5, 2];
/** Units of the picture of a waveform. */
const [STEP, HIGH] = [4, 28];
/** Later than any recording ends: a browser looks for the end then, which a recording does not name. */
const BEYOND_S = 1e7;

export function Voice({ voice, ...props }: FileProps & { voice: Spoken }) {
  const way = useWay(props.from);
  const place = useRef<HTMLDivElement>(null);
  useComesWhenSeen(place, props.file, way);
  const { address, isLost } = useOpened(props.from, props.file, way.isHere);
  const { audio, isFit: isSound, isPlaying, at, length, play, seek } = useSound(address, voice.durationMs);
  const isFit = isSound && !isLost;
  const what = `${say("voice")} ${clock(voice.durationMs)}`;
  const [speed, setSpeed] = useState(0);
  const rate = SPEEDS[speed] ?? 1;
  useEffect(() => {
    if (audio.current) audio.current.playbackRate = rate;
  }, [rate, address]);
  return (
    <div className="voice" ref={place}>
      <audio ref={audio} src={address} preload="auto" />
      <Button className="primary icon" aria-label={`${say(isPlaying ? "pause" : "play")}: ${what}`} isDisabled={address === undefined || !isFit} onPress={play}>
        <Icon name={isPlaying ? "pause" : "play"} />
      </Button>
      <div className="wave">
        <Waveform levels={voice.waveform} share={at / length} />
        <input
          type="range" aria-label={`${say("position")}: ${what}`} aria-valuetext={clock(at)} min={0} max={length} step={100} value={at}
          disabled={address === undefined || !isFit} onChange={(event) => seek(Number(event.target.value))}
        />
      </div>
      <span className="dim time">{clock(isPlaying || at > 0 ? at : length)}</span>
      <Button className="quiet small" aria-label={`${say("speed")} ${rate}×: ${what}`} onPress={() => setSpeed((speed + 1) % SPEEDS.length)}>{rate}×</Button>
      {!isFit && <span className="wrong">{say("notPlayed")}</span>}
      {(way.progress?.state !== "here" || !isFit) && <Way {...props} way={way} isLost={isLost} />}
    </div>
  );
}

/** Plays what is at an address; times in milliseconds. */
function useSound(address: string | undefined, claimedMs: number) {
  const audio = useRef<HTMLAudioElement>(null);
  const [isPlaying, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const [realMs, setReal] = useState<number>();
  const [isFit, setFit] = useState(true);
  useEffect(() => {
    const sound = audio.current;
    if (!sound || address === undefined) return;
    let isLooking = false;
    const measured = () => {
      if (Number.isFinite(sound.duration)) {
        setReal(sound.duration * 1_000);
        if (isLooking) sound.currentTime = 0;
        isLooking = false;
      } else if (!isLooking) {
        isLooking = true;
        sound.currentTime = BEYOND_S;
      }
    };
    const moved = () => { if (!isLooking) setAt(sound.currentTime * 1_000); };
    const changed = () => setPlaying(!sound.paused && !sound.ended);
    const ended = () => {
      sound.currentTime = 0;
      changed();
    };
    const heard = [
      ["loadedmetadata", measured], ["durationchange", measured], ["timeupdate", moved], ["play", changed], ["pause", changed],
      ["ended", ended], ["error", () => setFit(false)],
    ] as const;
    for (const [event, listener] of heard) sound.addEventListener(event, listener);
    return () => {
      for (const [event, listener] of heard) sound.removeEventListener(event, listener);
    };
  }, [address]);
  const play = () => {
    if (isPlaying) audio.current?.pause();
    else audio.current?.play().catch(() => undefined);
  };
  const seek = (ms: number) => {
    if (audio.current) audio.current.currentTime = ms / 1_000;
    setAt(ms);
  };
  return { audio, isFit, isPlaying, at, length: Math.max(1, realMs ?? claimedMs), play, seek };
}

function Waveform({ levels, share }: { levels: number[]; share: number }) {
  const bar = (level: number, at: number) => {
    const high = Math.max(2, (level / 255) * HIGH);
    return `M${at * STEP + STEP / 2} ${(HIGH - high) / 2}v${high}`;
  };
  const bars = levels.map(bar);
  const heard = Math.round(bars.length * share);
  return (
    <svg viewBox={`0 0 ${Math.max(1, bars.length) * STEP} ${HIGH}`} preserveAspectRatio="none" aria-hidden="true">
      <path className="heard" d={bars.slice(0, heard).join("")} />
      <path d={bars.slice(heard).join("")} />
    </svg>
  );
}
