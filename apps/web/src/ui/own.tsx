// What is a person's own: their devices, and what they want of this one.

import { useState } from "react";
import { Button } from "react-aria-components";
import type { Device } from "../core/wasm/mifeng_wasm";
import { language, say } from "../words";
import { useAnswer, useDo } from "./client";
import type { SheetProps } from "./dialogs";
import { Sheet, Toggle } from "./parts";

export function Devices({ isOpen, onClose }: SheetProps) {
  return (
    <Sheet title={say("ownDevices")} isOpen={isOpen} onClose={onClose}>
      <DeviceList />
    </Sheet>
  );
}

function DeviceList() {
  const [devices, again] = useAnswer((event) => event.type === "devices" || event.type === "notice", "devices");
  return (
    <ul className="members">
      {devices?.map((device) => <DeviceItem key={device.id} device={device} again={again} />)}
    </ul>
  );
}

function DeviceItem({ device: { id, name, active, this: isThis, since }, again }: { device: Device; again: () => void }) {
  const [asked, setAsked] = useState(false);
  const perform = useDo();
  const date = typeof since === "number" ? new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(since) : undefined;
  const title = name ?? (isThis ? say("thisDevice") : say("device"));
  const marks = [isThis && name !== undefined && say("thisDevice"), !active && say("revoked"), date, id.slice(0, 8)].filter(Boolean);
  return (
    <li className={active ? "" : "gone"}>
      <span className="words">
        <span className="title">{title}</span>
        <span className="dim">{marks.join(" · ")}</span>
      </span>
      {active && !isThis && (asked ? (
        <Button className="quiet danger" autoFocus onPress={() => void perform("revokeDevice", id).then(again)}>{say("revokeReally")}</Button>
      ) : (
        <Button className="quiet danger" aria-label={`${say("revoke")}: ${title}`} onPress={() => setAsked(true)}>{say("revoke")}</Button>
      ))}
    </li>
  );
}

export function Settings({ isOpen, onClose }: SheetProps) {
  return (
    <Sheet title={say("preferences")} isOpen={isOpen} onClose={onClose}>
      <SettingList />
    </Sheet>
  );
}

function SettingList() {
  const [settings, again] = useAnswer(() => false, "settings");
  const perform = useDo();
  if (!settings) return null;
  const { typing, receipts } = settings;
  const set = (typing: boolean, receipts: boolean) => void perform("setSettings", typing, receipts).then(again);
  return (
    <>
      <Toggle label={say("tellReceipts")} isSelected={receipts} onChange={(receipts) => set(typing, receipts)} />
      <Toggle label={say("tellTyping")} isSelected={typing} onChange={(typing) => set(typing, receipts)} />
      <p className="dim">{say("preferencesHint")}</p>
    </>
  );
}
