// What tabs and their workers say to each other.

import type { Event, Profile } from "./wasm/mifeng_wasm";

/** Calls of the profile: everything that is not about the object itself. */
export type Method = Exclude<keyof Profile, "free" | typeof Symbol.dispose>;
export type Arguments<M extends Method> = Parameters<Profile[M]>;
export type Answer<M extends Method> = ReturnType<Profile[M]>;

/** An error on its way: `name` is a stable code. */
export interface Failure {
  name: string;
  message: string;
}

export type Outcome = { value: unknown } | { failure: Failure };

/** From a tab to its own worker. */
export interface Request {
  id: number;
  method: Method;
  args: unknown[];
}

/** From a worker to its own tab. */
export type Report = { kind: "answer"; id: number; outcome: Outcome } | { kind: "event"; event: Event };

/** Between the workers of several tabs, of which one leads. */
export type Relayed =
  | { kind: "call"; from: string; request: Request }
  | { kind: "answer"; to: string; id: number; outcome: Outcome }
  | { kind: "event"; event: Event }
  | { kind: "leads" };

export function failureOf(error: unknown): Failure {
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: "failed", message: String(error) };
}
