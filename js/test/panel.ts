/** What tests of panels begin with; all that they open ends after each test. */

import { signal } from "@preact/signals-core";
import { afterEach } from "vitest";
import { scoped } from "../src/dom";
import { type Host, pageHost } from "../src/host";
import { createState, type State } from "../src/state";
import type { Explanation } from "../src/wire";

const ends: (() => void)[] = [];

/** End what is open; a test may do so before it is over. */
export function close(): void {
  for (const end of ends.splice(0).reverse()) end();
}

afterEach(() => {
  close();
  document.body.replaceChildren();
});

export function state(e: Explanation | Explanation[], host: Host = pageHost()): State {
  const s = createState([e].flat(), host);
  ends.push(s.end);
  return s;
}

export function open(s: State, build: (s: State) => HTMLElement): HTMLElement {
  const [panel, end] = scoped(() => build(s));
  ends.push(end);
  document.body.append(panel);
  return panel;
}

/** The host of a kernel that answers; `asked` hears which parts of what are wanted. */
export const connected = (asked: (e: Explanation, parts: string[]) => void): Host => ({
  ...pageHost(),
  connected: signal(true),
  want: async (e, parts) => asked(e, parts),
});

/** False where the key was taken. */
export const press = (at: EventTarget, key: string, more: KeyboardEventInit = {}): boolean =>
  at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
