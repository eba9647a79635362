/** What the user has chosen, and everything that follows from it. Panels read and write only this. */

import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import type { ColourName } from "./colour";
import { keptHeads, type Options, stepWeights } from "./filters";
import { type CellMap, canMap, sequenceMap, sumMap } from "./maps";
import type { Explanation, Level, Preset, Word } from "./wire";

export type LayerMode = "one" | "upto" | "range";

export interface Counts {
  /** Heads with weight, summed over `steps`, of `heads` in all. */
  kept: number;
  heads: number;
  silenced: number;
  words: number;
}

export interface State {
  e: Explanation;
  /** Entries of the chosen steps; empty means the whole answer. */
  chosen: Signal<readonly number[]>;
  layerMode: Signal<LayerMode>;
  from: Signal<number>;
  to: Signal<number>;
  headFilter: Signal<Level>;
  fillerFilter: Signal<Level>;
  textSet: Signal<string>;
  relu: Signal<boolean>;
  preset: Signal<Preset>;
  /** Both filters off for as long as a key is held. */
  bare: Signal<boolean>;
  opacity: Signal<number>;
  fade: Signal<boolean>;
  smooth: Signal<boolean>;
  colours: Signal<ColourName>;
  /** The cell under the pointer or the cell cursor. */
  cell: Signal<number | null>;
  helpOpen: Signal<boolean>;

  options: ReadonlySignal<Options>;
  /** ω of the chosen filler filter, 1 without. */
  weights: ReadonlySignal<Float64Array>;
  /** What shades the words: ω, of `max` where no filler filter is chosen. */
  shades: ReadonlySignal<Float64Array>;
  map: ReadonlySignal<CellMap>;
  /** Entries of the steps in view: the chosen ones, or all. */
  steps: ReadonlySignal<readonly number[]>;
  counts: ReadonlySignal<Counts>;
}

export function createState(e: Explanation): State {
  const first = e.header.presets[e.header.preset] ?? e.header.presets.paper!;
  const s = {
    e,
    chosen: signal<readonly number[]>([]),
    layerMode: signal<LayerMode>("range"),
    from: signal(first.layers[0]),
    to: signal(first.layers[1]),
    headFilter: signal<Level>("max"),
    fillerFilter: signal<Level>("max"),
    textSet: signal(first.textSet),
    relu: signal(true),
    preset: signal<Preset>(e.header.preset),
    bare: signal(false),
    opacity: signal(0.75),
    fade: signal(true),
    smooth: signal(true),
    colours: signal<ColourName>("cividis"),
    cell: signal<number | null>(null),
    helpOpen: signal(false),
  };
  return { ...s, ...derive(e, s) };
}

type Chosen = Omit<State, "options" | "weights" | "shades" | "map" | "steps" | "counts">;

function derive(e: Explanation, s: Chosen): Omit<State, keyof Chosen> {
  const options = computed<Options>(() => ({
    layers: [s.layerMode.value === "one" ? s.to.value : s.layerMode.value === "upto" ? 0 : s.from.value, s.to.value],
    textSet: s.textSet.value,
    headFilter: s.bare.value ? "none" : s.headFilter.value,
    fillerFilter: s.bare.value ? "none" : s.fillerFilter.value,
    relu: s.relu.value,
    preset: s.preset.value,
  }));
  const steps = computed(() => (s.chosen.value.length ? s.chosen.value : e.header.steps.map((_, entry) => entry)));
  const weights = computed(() => stepWeights(e, options.value));
  const shades = computed(() => {
    const o = options.value;
    return o.fillerFilter === "none" ? stepWeights(e, { ...o, fillerFilter: "max" }) : weights.value;
  });
  const map = computed(() => {
    const o = options.value;
    if (!canMap(e, o)) return new Float64Array(e.size.cells);
    return s.chosen.value.length ? sumMap(e, [...s.chosen.value], o) : sequenceMap(e, o);
  });
  const counts = computed<Counts>(() => {
    const [from, to] = options.value.layers;
    const words = explainedWords(e);
    return {
      kept: keptHeads(e, [...steps.value], options.value),
      heads: steps.value.length * (to - from + 1) * e.size.heads,
      silenced: words.filter((word) => wordWeight(e, weights.value, word) === 0).length,
      words: words.length,
    };
  });
  return { options, steps, weights, shades, map, counts };
}

/** Entries of a word's steps that were explained. */
export function entriesOf(e: Explanation, word: Word): number[] {
  return word.steps.flatMap((step) => e.entryOf.get(step) ?? []);
}

export function explainedWords(e: Explanation): Word[] {
  return e.header.words.filter((word) => entriesOf(e, word).length > 0);
}

/** A word weighs as much as the heaviest of its sub-words. */
export function wordWeight(e: Explanation, weights: Float64Array, word: Word): number {
  return Math.max(0, ...entriesOf(e, word).map((entry) => weights[entry]!));
}

export function wordAt(e: Explanation, entry: number): Word | undefined {
  return e.header.words.find((word) => word.steps.includes(e.header.steps[entry]!));
}

/** Everything that a preset stands for, at once. */
export function applyPreset(s: State, preset: Preset): void {
  const spec = s.e.header.presets[preset];
  if (!spec) return;
  batch(() => {
    s.preset.value = preset;
    s.textSet.value = spec.textSet;
    s.headFilter.value = "max";
    s.fillerFilter.value = "max";
    s.relu.value = true;
    s.layerMode.value = "range";
    [s.from.value, s.to.value] = spec.layers;
  });
}

/** One layer on or back; a whole range becomes a single layer first. */
export function moveLayer(s: State, by: 1 | -1): void {
  const last = s.e.size.layers - 1;
  batch(() => {
    const [from, to] = s.options.value.layers;
    if (s.layerMode.value === "range" && from === 0 && to === last) {
      s.layerMode.value = "one";
      s.to.value = by > 0 ? 0 : last;
    } else if (s.layerMode.value === "range") {
      const shift = Math.max(-from, Math.min(last - to, by));
      s.from.value = from + shift;
      s.to.value = to + shift;
    } else s.to.value = Math.max(0, Math.min(last, to + by));
  });
}

export function allLayers(s: State): void {
  batch(() => {
    s.layerMode.value = "range";
    s.from.value = 0;
    s.to.value = s.e.size.layers - 1;
  });
}

export function nameOf(level: Level): string {
  if (level === "max" || level === "none") return level;
  return level === "avg" ? "mean of all" : `mean of the top ${Math.round(level * 100)} %`;
}
