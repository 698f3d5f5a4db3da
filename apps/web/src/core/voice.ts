// Voice messages: recorded, and looked at for their waveform.

import type { Parcel } from "./files";
import type { Voice } from "./wasm/mifeng_wasm";
import { waveform } from "./waveform";

const LEVELS = 64;
const BITS_PER_SECOND = 32_000;
/** Nobody listens to more at once; the recording waits to be sent then. */
export const RECORDING_MAX_MS = 15 * 60_000;
/** What browsers record, the best first, and what it is called. */
const FORMATS = [["audio/webm;codecs=opus", "webm"], ["audio/ogg;codecs=opus", "ogg"], ["audio/mp4", "m4a"]] as const;
/** Enough for a waveform, and little memory. */
const COARSE_RATE = 8_000;

/** A recording that goes on until it is finished or dropped, or its microphone is gone. */
export class Recording {
  /** Kept when it has ended. */
  readonly ended: Promise<void>;
  #begun = performance.now();
  #over: number | undefined;
  #pieces: Blob[] = [];

  private constructor(readonly stream: MediaStream, readonly recorder: MediaRecorder, readonly ending: string) {
    recorder.ondataavailable = ({ data }) => void this.#pieces.push(data);
    this.ended = new Promise((resolve) => recorder.addEventListener("stop", () => {
      this.#over = performance.now();
      free(stream);
      resolve();
    }));
    recorder.start();
  }

  /** Asks the person for the microphone, if they were not asked before. Throws when they say no, or there is none. */
  static async begin(): Promise<Recording> {
    const format = FORMATS.find(([type]) => MediaRecorder.isTypeSupported(type));
    if (!format) throw new Error("this browser does not record");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    try {
      const [mimeType, ending] = format;
      return new Recording(stream, new MediaRecorder(stream, { mimeType, audioBitsPerSecond: BITS_PER_SECOND }), ending);
    } catch (error) {
      free(stream);
      throw error;
    }
  }

  get lengthMs(): number {
    return (this.#over ?? performance.now()) - this.#begun;
  }

  /** Ends it; the microphone is free then. */
  async stop(): Promise<void> {
    if (this.recorder.state !== "inactive") this.recorder.stop();
    await this.ended;
  }

  /** Ends it and gives what was said. A sound that cannot be looked at has no waveform, and is sent all the same. */
  async finish(): Promise<Parcel> {
    await this.stop();
    const mediaType = this.recorder.mimeType.replace(/;.*$/, "");
    const bytes = new Blob(this.#pieces, { type: mediaType });
    const voice = await looked(bytes).catch(() => ({ durationMs: Math.round(this.lengthMs), waveform: [] }));
    return { bytes, details: { name: `voice.${this.ending}`, mediaType, voice } };
  }
}

async function looked(bytes: Blob): Promise<Voice> {
  const sound = await new OfflineAudioContext(1, 1, COARSE_RATE).decodeAudioData(await bytes.arrayBuffer());
  return { durationMs: Math.round(sound.duration * 1_000), waveform: waveform(sound.getChannelData(0), LEVELS) };
}

function free(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
