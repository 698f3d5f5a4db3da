// How a sound looks.

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
