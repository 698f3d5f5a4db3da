// Small decisions about text, apart from any screen, so that they can be tested without one.

/** Where a link may lead: the web and mail. Anything else is shown as text. */
export function safeTarget(target: string): URL | undefined {
  let url: URL;
  try {
    url = new URL(target);
  } catch {
    return undefined;
  }
  const allowed = url.protocol === "https:" || url.protocol === "http:" || url.protocol === "mailto:";
  return allowed && url.username === "" && url.password === "" ? url : undefined;
}

/** What a link really leads to, if its words could make believe something else. */
export function honestHost(url: URL, words: string): string | undefined {
  const where = url.protocol === "mailto:" ? url.pathname : url.host;
  const said = words.trim().replace(/\/$/, "");
  return said === where || said === url.href.replace(/\/$/, "") ? undefined : where;
}

/** Handles as a person lists them: `@ann, bob  carol`. */
export function handles(text: string): string[] {
  const parts = text.split(/[\s,，、]+/).map((part) => part.replace(/^@/, ""));
  return [...new Set(parts.filter((part) => part !== ""))];
}

/** One of eight colours, always the same for a name. */
export function hue(name: string): number {
  let sum = 0;
  for (const char of name) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 997;
  return sum % 8;
}

/** The first letter that a person would say. */
export function initial(name: string): string {
  const [first] = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(name.replace(/^[@#]/, ""));
  return first?.segment.toUpperCase() ?? "?";
}

/** Seconds as people say them: `2 h`, `7 d`. */
export function duration(seconds: number, locale: string): string {
  const units = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]] as const;
  const [unit, size] = units.find(([, size]) => seconds >= size && seconds % size === 0) ?? units[3];
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(seconds / size);
}

/** Bytes as people read them: `1.2 MB`. */
export function fileSize(bytes: number, locale: string): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;
  let [amount, unit] = [bytes, 0];
  for (; amount >= 999.95 && unit + 1 < units.length; unit++) amount /= 1_000;
  const format = { style: "unit", unit: units[unit] ?? units[0], maximumFractionDigits: unit === 0 ? 0 : 1 } as const;
  return new Intl.NumberFormat(locale, format).format(amount);
}

/** A length of time as a clock shows it: `1:05`. */
export function clock(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
