// Lines that were searched for. Searched is what lies on this device; the server could not.

import type { Found } from "../core/wasm/mifeng_wasm";
import { say } from "../words";
import { useAnswer } from "./client";
import { choose, shortTime } from "./home";
import { lineSummary } from "./line";

const FOUND_MAX = 50;

export function Findings({ wanted }: { wanted: string }) {
  const [findings] = useAnswer((event) => event.type === "line" || event.type === "changed", "search", wanted, FOUND_MAX);
  if (!findings) return null;
  return (
    <section className="findings" aria-label={say("foundMessages")}>
      <h2>{say("foundMessages")}</h2>
      {findings.length === 0 && <p className="dim">{say("noMatch")}</p>}
      <ul>
        {findings.map((found) => <li key={found.line.id ?? found.line.place}><Finding found={found} /></li>)}
      </ul>
    </section>
  );
}

function Finding({ found: { conversation, title, group, line } }: { found: Found }) {
  return (
    <button type="button" className="quiet finding" onClick={() => choose(conversation, line.place ?? undefined)}>
      <span className="title">{title}</span>
      <time className="dim" dateTime={new Date(line.at).toISOString()}>{shortTime(line.at)}</time>
      <span className="preview">{lineSummary(line, group)}</span>
    </button>
  );
}
