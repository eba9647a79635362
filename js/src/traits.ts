/** The view's state as plain values: what a notebook reads and sets, history keeps, and a page opens with. */

import { batch, type Signal } from "@preact/signals-core";
import { type ColourName, SEQUENTIAL } from "./colour";
import type { Method } from "./methods";
import type { Display, LayerMode, Note, State } from "./state";
import type { Level, Preset, Region } from "./wire";

/** Names and values as the Python traits of `explorer.py` have them: true indices, no entries. */
export interface Traits {
  step: number | null;
  steps: number[];
  layers: [number, number];
  layer_mode: LayerMode;
  heads: [number, number][] | null;
  head_filter: Level;
  filler_filter: Level;
  text_set: string;
  relu: boolean;
  preset: Preset;
  method: Method;
  colormap: ColourName;
  opacity: number;
  selection: Region | null;
  notes: Note[];
  display: Display & { tab: string };
}

type Name = keyof Traits;
type Accessors = { [N in Name]: { get(s: State): Traits[N]; set(s: State, value: Traits[N]): void } };

/** A trait that is one signal of the same values. */
const plain = <
  K extends
    | "relu"
    | "opacity"
    | "layerMode"
    | "headFilter"
    | "fillerFilter"
    | "textSet"
    | "preset"
    | "method"
    | "region",
>(
  key: K,
) => ({
  get: (s: State): State[K]["value"] => s[key].value,
  set: (s: State, value: State[K]["value"]) => {
    (s[key] as Signal<State[K]["value"]>).value = value;
  },
});

const trueSteps = (s: State): number[] => s.chosen.value.map((entry) => s.e.header.steps[entry]!);

const TRAITS: Accessors = {
  steps: {
    get: trueSteps,
    set: (s, steps) => {
      s.chosen.value = steps.flatMap((step) => s.e.entryOf.get(step) ?? []);
    },
  },
  step: {
    get: (s) => trueSteps(s)[0] ?? null,
    set: (s, step) => {
      s.chosen.value = step === null ? [] : [s.e.entryOf.get(step) ?? []].flat();
    },
  },
  // Before `layers`: a single layer and a run up to it read the last one alone.
  layer_mode: plain("layerMode"),
  layers: {
    get: (s) => {
      const first = s.layerMode.value === "single" ? s.to.value : s.layerMode.value === "cumulative" ? 0 : s.from.value;
      return [s.e.header.layers[first]!, s.e.header.layers[s.to.value]!];
    },
    set: (s, [first, last]) => {
      const { layers } = s.e.header;
      const [from, to] = [layers.indexOf(first), layers.indexOf(last)];
      if (from < 0 || to < from) return;
      s.from.value = from;
      s.to.value = to;
    },
  },
  heads: {
    get: (s) => {
      const { heads } = s.e.size;
      const { layers } = s.e.header;
      return s.heads.value && [...s.heads.value].map((at) => [layers[Math.floor(at / heads)]!, at % heads]);
    },
    set: (s, pairs) => {
      const entry = ([layer, head]: [number, number]) => s.e.header.layers.indexOf(layer) * s.e.size.heads + head;
      s.heads.value = pairs && new Set(pairs.map(entry).filter((at) => at >= 0));
    },
  },
  head_filter: plain("headFilter"),
  filler_filter: plain("fillerFilter"),
  text_set: plain("textSet"),
  relu: plain("relu"),
  preset: plain("preset"),
  method: plain("method"),
  colormap: {
    get: (s) => s.colours.value,
    set: (s, name) => {
      if (SEQUENTIAL.some((known) => known.name === name)) s.colours.value = name;
    },
  },
  opacity: plain("opacity"),
  selection: plain("region"),
  notes: {
    get: (s) => [...s.notes.value],
    set: (s, notes) => {
      s.notes.value = notes;
    },
  },
  display: {
    get: (s) => ({ ...s.display.value, tab: s.tab.value }),
    set: (s, { tab, ...display }) => {
      s.display.value = { ...s.display.value, ...display };
      s.tab.value = tab ?? s.tab.value;
    },
  },
};

export const NAMES = Object.keys(TRAITS) as Name[];

export function readTraits(s: State): Traits {
  return Object.fromEntries(NAMES.map((name) => [name, TRAITS[name].get(s)])) as unknown as Traits;
}

/** Set what is given, at once; `step` counts only where `steps` is not given. */
export function writeTraits(s: State, values: Partial<Traits>): void {
  batch(() => {
    for (const name of NAMES)
      if (name in values && !(name === "step" && values.steps))
        (TRAITS[name] as { set(s: State, value: unknown): void }).set(s, values[name]);
  });
}
