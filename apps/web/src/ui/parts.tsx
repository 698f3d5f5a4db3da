// The parts that screens are made of, around those of react-aria, which know keyboards and screen readers.

import { useEffect, useState, type ReactNode } from "react";
import {
  Button, Dialog, FieldError, Heading, Input, Label, Modal, ModalOverlay, Switch, Text, TextField, type SwitchProps, type TextFieldProps,
} from "react-aria-components";
import { hue, initial } from "../text";
import { say } from "../words";

export function Avatar({ name, group = false }: { name: string; group?: boolean }) {
  return (
    <span className={`avatar hue-${hue(name)}${group ? " group" : ""}`} aria-hidden="true">
      {initial(name)}
    </span>
  );
}

interface FieldProps extends TextFieldProps {
  label: string;
  hint?: string;
}

export function Field({ label, hint, ...props }: FieldProps) {
  return (
    <TextField {...props} className="field">
      <Label>{label}</Label>
      <Input spellCheck={false} autoCapitalize="none" />
      {hint !== undefined && <Text slot="description">{hint}</Text>}
      <FieldError />
    </TextField>
  );
}

/** Something that is on or off. */
export function Toggle({ label, ...props }: Omit<SwitchProps, "children"> & { label: string }) {
  return (
    <Switch {...props} className="toggle">
      <span>{label}</span>
      <span className="track" aria-hidden="true" />
    </Switch>
  );
}

interface SheetProps {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  children: ReactNode;
}

/** A dialog over everything else; a sheet from below where it is narrow. */
export function Sheet({ title, isOpen, onClose, children }: SheetProps) {
  return (
    <ModalOverlay className="overlay" isOpen={isOpen} onOpenChange={(open) => !open && onClose()} isDismissable>
      <Modal className="sheet">
        <Dialog>
          <header>
            <Heading slot="title">{title}</Heading>
            <Button className="quiet icon" aria-label={say("close")} onPress={onClose}>
              <Icon name="close" />
            </Button>
          </header>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

const icons = {
  add: "M12 5v14M5 12h14",
  again: "M20 12a8 8 0 1 1-2.500-5.800M20 3v5h-5",
  back: "M15 5l-7 7 7 7",
  clip: "M20 11.500l-8.200 8.200a5 5 0 0 1-7-7L13 4.500a3.300 3.300 0 0 1 4.700 4.700l-8.200 8.200a1.700 1.700 0 0 1-2.400-2.400l7.500-7.500",
  close: "M6 6l12 12M18 6L6 18",
  down: "M12 5v14M6 13l6 6 6-6",
  file: "M14 3H6v18h12V7zM14 3v4h4",
  microphone: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3M6 11a6 6 0 0 0 12 0M12 17v4",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  mute: "M6 8a6 6 0 0 1 9.500-4.900M18 9c0 5 2 7 2 7H8M6 9c0 5-2 7-2 7M10.500 20a2 2 0 0 0 3.500 0M3 3l18 18",
  pause: "M8 5v14M16 5v14",
  people: "M16 19v-1a4 4 0 0 0-4-4H7a4 4 0 0 0-4 4v1M9.5 10a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M21 19v-1a4 4 0 0 0-3-3.870M16 3.130a4 4 0 0 1 0 7.750",
  pin: "M12 17v4M8 3h8M9 3v6l-3 4v2h12v-2l-3-4V3",
  play: "M7 4.500l12 7.500-12 7.500z",
  reply: "M9 7l-5 5 5 5M4 12h10a6 6 0 0 1 6 6v1",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
  send: "M5 12h14M13 6l6 6-6 6",
  shield: "M12 3l7 3v5c0 5-3 8.5-7 10-4-1.5-7-5-7-10V6z",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M8.5 14.5a4.5 4.5 0 0 0 7 0M9 9.5h.01M15 9.5h.01",
  tune: "M4 7h10M18 7h2M4 17h2M10 17h10M16 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5M8 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5",
  timer: "M12 8v5l3 2M12 21a8 8 0 1 0 0-16 8 8 0 0 0 0 16M9 2h6",
};

/** A picture; with a label, one that says something by itself. */
export function Icon({ name, label }: { name: keyof typeof icons; label?: string }) {
  const meaning = label === undefined ? { "aria-hidden": true } : { role: "img", "aria-label": label };
  return (
    <svg className="glyph" viewBox="0 0 24 24" {...meaning}>
      <path d={icons[name]} />
    </svg>
  );
}

/** A sentence that goes away by itself. */
export function useTelling(): [ReactNode, (text: string) => void] {
  const [told, setTold] = useState<{ text: string }>();
  useEffect(() => {
    if (!told) return;
    const timer = setTimeout(() => setTold(undefined), 6_000);
    return () => clearTimeout(timer);
  }, [told]);
  const shown = (
    <div className="told" role="status" aria-live="polite">
      {told && <p>{told.text}</p>}
    </div>
  );
  return [shown, (text) => setTold({ text })];
}
