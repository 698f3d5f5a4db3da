// Voice messages: recorded, and looked at for their waveform.

import type { Parcel } from "./files";

const LEVELS = 64;
const BITS_PER_SECOND = 32_000;
/** Nobody listens to more at once; the recording waits to be sent then. */
export const RECORDING_MAX_MS = 15 * 60_000;
/** What browsers record, the best first, and what it is called. */
const FORMATS = [["audio/webm;codecs=opus", "webm"], ["audio/ogg;codecs=opus", "ogg"], ["audio/mp4", "m4a"]] as const;
const ANY_RATE = 48_000;

/** A recording that goes on until it is finished or dropped. */
export class Recording {
  readonly begun = performance.now();
  #pieces: Blob[] = [];
  #ended: Promise<void>;

  private constructor(readonly stream: MediaStream, readonly recorder: MediaRecorder, readonly ending: string) {
    recorder.ondataavailable = ({ data }) => void this.#pieces.push(data);
    this.#ended = new Promise((resolve) => recorder.addEventListener("stop", () => resolve()));
    recorder.start();
  }

  /** Asks the person for the microphone, if they were not asked before. Throws when they say no, or there is none. */
  static async begin(): Promise<Recording> {
    const format = FORMATS.find(([type]) => MediaRecorder.isTypeSupported(type));
    if (!format) throw new Error("this browser does not record");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const [mimeType, ending] = format;
    return new Recording(stream, new MediaRecorder(stream, { mimeType, audioBitsPerSecond: BITS_PER_SECOND }), ending);
  }

  /** Ends it; the microphone is free then. */
  async stop(): Promise<void> {
    if (this.recorder.state !== "inactive") this.recorder.stop();
    await this.#ended;
    for (const track of this.stream.getTracks()) track.stop();
  }

  /** Ends it and gives what was said. */
  async finish(): Promise<Parcel> {
    await this.stop();
    const mediaType = this.recorder.mimeType.replace(/;.*$/, "");
    const bytes = new Blob(this.#pieces, { type: mediaType });
    const sound = await new OfflineAudioContext(1, 1, ANY_RATE).decodeAudioData(await bytes.arrayBuffer());
    const voice = { durationMs: Math.round(sound.duration * 1_000), waveform: waveform(sound.getChannelData(0), LEVELS) };
    return { bytes, details: { name: `voice.${this.ending}`, mediaType, voice } };
  }
}

/** How loud each of so many equal steps is, the loudest 255. */
export function waveform(samples: Float32Array, levels: number): number[] {
  const step = Math.max(1, Math.ceil(samples.length / levels));
  const loud: number[] = [];
  for (let begin = 0; begin < samples.length; begin += step) {
    let sum = 0;
    const part = samples.subarray(begin, begin + step);
    for (const sample of part) sum += sample * sample;
    loud.push(Math.sqrt(sum / part.length));
  }
  const loudest = Math.max(...loud, Number.EPSILON);
  return loud.map((level) => Math.round((level / loudest) * 255));
}
