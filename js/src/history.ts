/** Undo and redo of the view's state: everything that a notebook can set, but notes and the open tab. */

import { effect, type ReadonlySignal, signal, untracked } from "@preact/signals-core";
import type { State } from "./state";
import { readTraits, type Traits, writeTraits } from "./traits";

/** Changes that follow one another within so many milliseconds, as of a drag, are one. */
export const PAUSE = 400;
export const MOST = 200;

export interface History {
  /** Earlier and undone views as JSON, the nearest last. */
  past: ReadonlySignal<readonly string[]>;
  future: ReadonlySignal<readonly string[]>;
  undo(): void;
  redo(): void;
}

/** What is chosen and how it is drawn. */
export function viewOf(s: State): Partial<Traits> {
  const { notes, display, ...view } = readTraits(s);
  const { tab, ...drawn } = display;
  return { ...view, display: drawn as Traits["display"] };
}

const snapshot = (s: State): string => JSON.stringify(viewOf(s));

const histories = new WeakMap<State, History>();

/** The one history of a view's state, kept from the first time it is asked for. */
export function historyOf(s: State): History {
  const history = histories.get(s) ?? untracked(() => record(s));
  histories.set(s, history);
  return history;
}

function record(s: State): History {
  const past = signal<readonly string[]>([]);
  const future = signal<readonly string[]>([]);
  let now = snapshot(s);
  let changed = Number.NEGATIVE_INFINITY;
  let played = false; // running through the layers is one change, however slowly
  effect(() => {
    const next = snapshot(s);
    if (next === now) return;
    const steps = past.peek();
    const at = Date.now();
    const back = at - changed <= PAUSE && steps.at(-1) === next; // taken back at once: nothing to undo
    if (back) past.value = steps.slice(0, -1);
    else if (at - changed > PAUSE && !(played && s.playing.peek())) past.value = [...steps, now].slice(-MOST);
    changed = back ? Number.NEGATIVE_INFINITY : at;
    played = s.playing.peek();
    future.value = [];
    now = next;
  });
  const move = (from: typeof past, to: typeof past) => {
    const target = from.peek().at(-1);
    if (target === undefined) return;
    from.value = from.peek().slice(0, -1);
    to.value = [...to.peek(), now];
    now = target;
    changed = Number.NEGATIVE_INFINITY;
    writeTraits(s, JSON.parse(target) as Partial<Traits>);
  };
  return { past, future, undo: () => move(past, future), redo: () => move(future, past) };
}
