// The lines of a conversation. Only a part of them is on the page, around where a person reads, so that the length of a
// conversation does not cost.

import { memo, useEffect, useLayoutEffect, useRef, useState, type RefObject } from "react";
import { Button, Dialog, Popover } from "react-aria-components";
import type { Line, Window } from "../core/wasm/mifeng_wasm";
import { language, say } from "../words";
import { isOfList, session, useKept } from "./client";
import { choose } from "./home";
import { LineView, SYMBOLS, type LineActions, type MenuKind } from "./line";
import { Icon } from "./parts";

/** So many lines are on the page before and after the one that is read, and twice as many at the end. */
const SIDE = 60;
/** Nearer than so many lines to where the part ends, the next part is asked for. */
const NEAR = 15;
/** Nearer to the end than this, what is new is scrolled to. */
const AT_END_PX = 40;
const SEEK_MS = 3_000;
const TOGETHER_MS = 5 * 60_000;

/** The part that is shown, and how it is moved. */
export interface View {
  window: Window | undefined;
  /** The place that the part is around; without it, the part is the end. */
  anchor: string | undefined;
  /** The place of the line that is looked for. */
  sought: string | undefined;
  /** What is new is to be scrolled to. */
  sticks: RefObject<boolean>;
  again: () => void;
  show: (place: string | undefined) => void;
  toEnd: () => void;
}

export function useWindow(id: string, at: string | undefined): View {
  const [anchor, show] = useState(at);
  const [sought, seek] = useState(at);
  const sticks = useRef(at === undefined);
  if (sought !== at) {
    seek(at);
    if (at !== undefined) show(at);
  }
  const [window, again] = useKept(
    (event) => isOfList(event) && (event.type === "connection" || ("conversation" in event && event.conversation === id)),
    "window", id, anchor, anchor === undefined ? 2 * SIDE : SIDE, SIDE,
  );
  const toEnd = () => {
    sticks.current = true;
    show(undefined);
    again();
    if (at !== undefined) choose(id);
  };
  return { window, anchor, sought: at, sticks, again, show, toEnd };
}

interface LinesProps {
  conversation: string;
  view: View;
  group: boolean;
  actions: LineActions;
}

interface OpenMenu {
  kind: MenuKind;
  line: Line;
  of: RefObject<Element | null>;
}

export function Lines({ conversation, view, group, actions }: LinesProps) {
  const { window, anchor } = view;
  const [menu, setMenu] = useState<OpenMenu>();
  const fetchEarlier = () => void session.call("fetchHistory", conversation).catch(() => undefined);
  const { scroller, scrolled } = useScrolling(view, fetchEarlier);
  const lines = window?.lines;
  const openMenu = (kind: MenuKind, line: Line, button: Element) => setMenu({ kind, line, of: { current: button } });
  const first = lines?.[0]?.place;
  return (
    <div className="scroller" ref={scroller} onScroll={scrolled} tabIndex={0} role="log" aria-label={say("message")}>
      {(window?.earlier || window?.archived) && (
        <Button className="quiet earlier" onPress={() => (window.earlier ? view.show(first ?? undefined) : fetchEarlier())}>{say("earlier")}</Button>
      )}
      <ol className="lines">
        {lines?.map((line, at) => (
          <Row
            key={keyOf(line)}
            conversation={conversation}
            line={line}
            {...relation(line, lines[at - 1])}
            group={group}
            actions={actions}
            openMenu={openMenu}
            open={menu && keyOf(menu.line) === keyOf(line) ? menu.kind : undefined}
            sought={view.sought !== undefined && line.place === view.sought}
          />
        ))}
      </ol>
      {lines?.length === 0 && <p className="dim empty">{say("nothingYet")}</p>}
      {anchor !== undefined && (
        <Button className="to-end" aria-label={say("toEnd")} onPress={view.toEnd}><Icon name="down" /></Button>
      )}
      {menu && <LineMenu menu={menu} actions={actions} close={() => setMenu(undefined)} />}
    </div>
  );
}

function keyOf(line: Line): string {
  return line.id ?? line.place ?? "";
}

/** How a line stands to the one before. */
function relation(line: Line, before: Line | undefined): { isNewDay: boolean; follows: boolean } {
  const isNewDay = !before || new Date(before.at).toDateString() !== new Date(line.at).toDateString();
  const isSystem = (type: string) => type === "members" || type === "name" || type === "topic" || type === "timer";
  const follows = !isNewDay && before.author === line.author && line.at - before.at < TOGETHER_MS && !isSystem(before.what.type);
  return { isNewDay, follows };
}

interface RowProps {
  conversation: string;
  line: Line;
  isNewDay: boolean;
  follows: boolean;
  group: boolean;
  actions: LineActions;
  openMenu: (kind: MenuKind, line: Line, button: Element) => void;
  open: MenuKind | undefined;
  sought: boolean;
}

/** Painted again when what it shows is another. What can be done with it stays the same as long as the conversation is shown. */
const Row = memo(
  function Row({ isNewDay, ...rest }: RowProps) {
    return (
      <>
        {isNewDay && <li className="day">{new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(rest.line.at)}</li>}
        <LineView {...rest} />
      </>
    );
  },
  (one, other) =>
    one.isNewDay === other.isNewDay && one.follows === other.follows && one.group === other.group && one.open === other.open &&
    one.sought === other.sought && JSON.stringify(one.line) === JSON.stringify(other.line),
);

/** Keeps what a person reads where it is while lines come and go around it, and asks for more when it is near an edge. */
function useScrolling(view: View, fetchEarlier: () => void) {
  const scroller = useRef<HTMLDivElement>(null);
  const held = useRef<{ key: string; top: number }>(undefined);
  const reached = useRef<string>(undefined);
  const rows = () => [...(scroller.current?.querySelectorAll<HTMLElement>("[data-key]") ?? [])];
  const isSeeking = () => view.sought !== undefined && view.sought !== reached.current;
  const hold = () => {
    const top = scroller.current?.getBoundingClientRect().top ?? 0;
    const row = rows().find((row) => row.getBoundingClientRect().bottom > top);
    held.current = row && { key: row.dataset["key"] ?? "", top: row.getBoundingClientRect().top };
  };
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box || !view.window) return;
    const looked = isSeeking() ? rows().find((row) => row.dataset["place"] === view.sought) : undefined;
    const kept = rows().find((row) => row.dataset["key"] === held.current?.key);
    if (looked) {
      reached.current = view.sought;
      view.sticks.current = false;
      looked.scrollIntoView({ block: "center" });
      looked.focus({ preventScroll: true });
    } else if (view.sticks.current) box.scrollTop = box.scrollHeight;
    else if (kept && held.current) box.scrollTop += kept.getBoundingClientRect().top - held.current.top;
    hold();
  }, [view.window]);
  useEffect(() => {
    if (view.sought === undefined) reached.current = undefined;
    // A line that is not there any more is not waited for.
    const timer = setTimeout(() => (reached.current = view.sought), SEEK_MS);
    return () => clearTimeout(timer);
  }, [view.sought]);
  useEffect(() => {
    const box = scroller.current;
    if (!box) return;
    const observer = new ResizeObserver(() => {
      if (view.sticks.current) box.scrollTop = box.scrollHeight;
    });
    observer.observe(box);
    return () => observer.disconnect();
  }, []);
  const scrolled = () => {
    const [box, part] = [scroller.current, view.window];
    if (!box || !part) return;
    hold();
    // What is still on the page is being left: it does not say where to stay.
    if (isSeeking()) return;
    view.sticks.current = !part.later && box.scrollHeight - box.scrollTop - box.clientHeight < AT_END_PX;
    if (part.archived && !part.earlier && box.scrollTop < box.clientHeight) fetchEarlier();
    if (view.sticks.current) return view.show(undefined);
    const bottom = box.getBoundingClientRect().bottom;
    const first = part.lines.findIndex((line) => keyOf(line) === held.current?.key);
    const last = rows().findLastIndex((row) => row.getBoundingClientRect().top < bottom);
    if (part.later && last > part.lines.length - NEAR) view.show(part.lines[last]?.place ?? view.anchor);
    else if (view.anchor === undefined || (part.earlier && first < NEAR)) view.show(part.lines[first]?.place ?? view.anchor);
  };
  return { scroller, scrolled };
}

/** One for all lines: a popover for each would cost more than the line. */
function LineMenu({ menu: { kind, line, of }, actions, close }: { menu: OpenMenu; actions: LineActions; close: () => void }) {
  const choice = (act: () => void) => () => {
    close();
    act();
  };
  return (
    <Popover className="popover" placement="top" triggerRef={of} isOpen onOpenChange={(isOpen) => !isOpen && close()}>
      {kind === "react" ? (
        <Dialog className="symbols" aria-label={say("react")}>
          {SYMBOLS.map((symbol) => (
            <Button key={symbol} className="quiet" aria-label={symbol} onPress={choice(() => actions.react(line, symbol, false))}>{symbol}</Button>
          ))}
        </Dialog>
      ) : (
        <Dialog className="choices" aria-label={say("more")}>
          {line.what.type === "words" && <Button className="quiet" onPress={choice(() => actions.edit(line))}>{say("edit")}</Button>}
          <Button className="quiet danger" onPress={choice(() => actions.takeBack(line))}>{say("takeBack")}</Button>
        </Dialog>
      )}
    </Popover>
  );
}
