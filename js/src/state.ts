/** What the user has chosen, and everything that follows from it. Panels read and write only this. */

import { batch, computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import type { ColourName } from "./colour";
import { keptHeads, type Options, presetOptions, stepWeights } from "./filters";
import { bring, type Host } from "./host";
import { type CellMap, mapOf, needed, stepsInView } from "./maps";
import type { Method } from "./methods";
import { coverageOf, energyInside } from "./region";
import type { Result } from "./results";
import type { Explanation, Level, Preset, Region, Word } from "./wire";

export type LayerMode = "single" | "cumulative" | "range";
/** How the overlay is drawn: bilinear or flat cells, over or multiplied, and what the colours span. */
export interface Display {
  smooth: boolean;
  fade: boolean;
  blend: "normal" | "multiply" | "screen";
  /** Percentile above which values get the last colour. */
  clip: number;
  /** `own`: each map from its least to its largest value; `shared`: all words of the chosen layers by one. */
  scale: "own" | "shared";
}

/** A remark on a word, made with one key. */
export interface Note {
  steps: number[];
  word: string;
  tag: string;
  text: string;
}

export interface Counts {
  /** Heads with weight, summed over `steps`, of `heads` in all. */
  kept: number;
  heads: number;
  silenced: number;
  words: number;
}

/** What is shown: the last choice whose numbers are all there. */
export interface Shown {
  options: Options;
  chosen: readonly number[];
  method: Method;
  /** Parts that the present choice still misses; null if it cannot be had at all. */
  missing: string[] | null;
}

export interface Choice {
  /** Entries of the chosen steps; empty means the whole answer. */
  chosen: Signal<readonly number[]>;
  layerMode: Signal<LayerMode>;
  from: Signal<number>;
  to: Signal<number>;
  /** Entries layer × heads + head of the heads that count; null: all. */
  heads: Signal<ReadonlySet<number> | null>;
  headFilter: Signal<Level>;
  fillerFilter: Signal<Level>;
  textSet: Signal<string>;
  relu: Signal<boolean>;
  preset: Signal<Preset>;
  method: Signal<Method>;
  opacity: Signal<number>;
  colours: Signal<ColourName>;
  display: Signal<Display>;
  region: Signal<Region | null>;
  notes: Signal<readonly Note[]>;
  /** Name of the tab that is open. */
  tab: Signal<string>;
}

export interface State extends Choice {
  e: Explanation;
  /** The explanation shown, and those to compare it with. */
  sources: readonly Explanation[];
  host: Host;
  /** All filters off for as long as a key is held. */
  bare: Signal<boolean>;
  /** The cell under the pointer or the cell cursor. */
  cell: Signal<number | null>;
  /** The cell that was clicked: which words use it is told. */
  picked: Signal<number | null>;
  /** What was measured or found about the answer. */
  results: Signal<readonly Result[]>;
  /** The cut whose cost is shown or asked for: source and target. */
  cut: Signal<string>;
  /** The layers pass by one after another. */
  playing: Signal<boolean>;
  /** A guess is asked for: the map stays hidden. */
  veiled: Signal<boolean>;
  /** Controls that a lesson has locked. */
  locked: Signal<boolean>;

  shown: ReadonlySignal<Shown>;
  options: ReadonlySignal<Options>;
  /** ω of the chosen filler filter, 1 without. */
  weights: ReadonlySignal<Float64Array>;
  /** What shades the words: ω, of `max` where no filler filter is chosen. */
  shades: ReadonlySignal<Float64Array>;
  map: ReadonlySignal<CellMap>;
  /** Entries of the steps in view: the chosen ones, or all. */
  steps: ReadonlySignal<readonly number[]>;
  counts: ReadonlySignal<Counts>;
  /** Share of each cell that the drawn region covers; null without one. */
  coverage: ReadonlySignal<Float64Array | null>;
  /** Each explained word's own map, raw; null where its numbers are not there. */
  wordMaps: ReadonlySignal<ReadonlyMap<Word, CellMap | null>>;
  /** Share of each explained word's own map that the picked cell has, NaN where unknown; null while none is picked. */
  lookup: ReadonlySignal<ReadonlyMap<Word, number> | null>;
  /** Ends what the state itself follows. */
  end(): void;
}

export function createState(sources: readonly Explanation[], host: Host, results: readonly Result[] = []): State {
  const e = sources[0]!;
  const first = e.header.presets[e.header.preset] ?? e.header.presets.paper!;
  const s = {
    e,
    sources,
    host,
    chosen: signal<readonly number[]>([]),
    layerMode: signal<LayerMode>("range"),
    from: signal(first.layers[0]),
    to: signal(first.layers[1]),
    heads: signal<ReadonlySet<number> | null>(null),
    headFilter: signal<Level>("max"),
    fillerFilter: signal<Level>("max"),
    textSet: signal(first.textSet),
    relu: signal(true),
    preset: signal<Preset>(e.header.preset),
    method: signal<Method>("dexar"),
    opacity: signal(0.75),
    colours: signal<ColourName>("cividis"),
    display: signal<Display>({ smooth: true, fade: true, blend: "normal", clip: 100, scale: "own" }),
    region: signal<Region | null>(null),
    notes: signal<readonly Note[]>([]),
    tab: signal(e.header.methods.length ? "Compare" : "Filters"),
    bare: signal(false),
    cell: signal<number | null>(null),
    picked: signal<number | null>(null),
    results: signal(results),
    cut: signal("image answer"),
    playing: signal(false),
    veiled: signal(false),
    locked: signal(false),
  };
  const derived = derive(s);
  const end = effect(() => bring(host, e, derived.shown.value.missing));
  return { ...s, ...derived, end };
}

type Derived =
  | "shown"
  | "options"
  | "weights"
  | "shades"
  | "map"
  | "steps"
  | "counts"
  | "coverage"
  | "wordMaps"
  | "lookup";

function derive(s: Omit<State, Derived | "end">): Pick<State, Derived> {
  const { e } = s;
  const wanted = computed<Options>(() => wantedOptions(s));
  const every = stepsInView(e, []);
  let last: Shown = { options: openingOptions(e), chosen: [], method: "dexar", missing: [] };
  const shown = computed<Shown>(() => {
    e.revision.value;
    const [options, chosen, method] = [wanted.value, s.chosen.value, s.method.value];
    const missing = needed(e, chosen.length ? chosen : every, options, method);
    last = missing?.length === 0 ? { options, chosen, method, missing } : { ...last, missing };
    return last;
  });
  const options = computed(() => shown.value.options);
  const steps = computed(() => (shown.value.chosen.length ? shown.value.chosen : every));
  const weights = computed(() => stepWeights(e, options.value));
  const shades = computed(() => {
    const o = options.value;
    return o.fillerFilter === "none" ? stepWeights(e, { ...o, fillerFilter: "max" }) : weights.value;
  });
  const map = computed(() => {
    const { options, chosen, method, missing } = shown.value;
    return missing === null ? new Float64Array(e.size.cells) : mapOf(e, chosen, options, method);
  });
  const counts = computed<Counts>(() => {
    const [from, to] = options.value.layers;
    const words = explainedWords(e);
    return {
      kept: keptHeads(e, steps.value, options.value),
      heads: steps.value.length * (to - from + 1) * e.size.heads,
      silenced: words.filter((word) => wordWeight(e, weights.value, word) === 0).length,
      words: words.length,
    };
  });
  const coverage = computed(() => (s.region.value ? coverageOf(e.header, s.region.value) : null));
  const wordMaps = computed(() => {
    const { options, method } = shown.value;
    const own = (entries: number[]) =>
      needed(e, entries, options, method)?.length === 0 ? mapOf(e, entries, options, method) : null;
    return new Map(explainedWords(e).map((word) => [word, own(entriesOf(e, word))]));
  });
  const lookup = computed(() => {
    const cell = s.picked.value;
    if (cell === null) return null;
    const only = Float64Array.from({ length: e.size.cells }, (_, at) => Number(at === cell));
    return new Map([...wordMaps.value].map(([word, map]) => [word, map ? energyInside(map, only) : Number.NaN]));
  });
  return { shown, options, steps, weights, shades, map, counts, coverage, wordMaps, lookup };
}

function wantedOptions(s: Choice & Pick<State, "bare">): Options {
  const bare = s.bare.value;
  const [from, to] = [s.from.value, s.to.value];
  return {
    layers: [s.layerMode.value === "single" ? to : s.layerMode.value === "cumulative" ? 0 : from, to],
    heads: bare ? null : s.heads.value,
    textSet: s.textSet.value,
    headFilter: bare ? "none" : s.headFilter.value,
    fillerFilter: bare ? "none" : s.fillerFilter.value,
    relu: s.relu.value,
    preset: s.preset.value,
  };
}

/** What the part `open` always holds. */
function openingOptions(e: Explanation): Options {
  const layers: [number, number] = [0, e.size.layers - 1];
  return { layers, heads: null, textSet: "all", headFilter: "max", fillerFilter: "max", relu: true, preset: "paper" };
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

/** Choose all that a preset stands for, at once. */
export function applyPreset(s: State, preset: Preset): void {
  const o = presetOptions(s.e, preset);
  if (!o) return;
  batch(() => {
    s.preset.value = o.preset;
    s.textSet.value = o.textSet;
    s.headFilter.value = o.headFilter;
    s.fillerFilter.value = o.fillerFilter;
    s.relu.value = o.relu;
    s.heads.value = o.heads;
    s.layerMode.value = "range";
    [s.from.value, s.to.value] = o.layers;
  });
}

/** One layer on or back; a whole range becomes a single layer first. */
export function moveLayer(s: State, by: 1 | -1): void {
  const last = s.e.size.layers - 1;
  batch(() => {
    const [from, to] = [s.from.value, s.to.value];
    if (s.layerMode.value !== "range") s.to.value = Math.max(0, Math.min(last, to + by));
    else if (from === 0 && to === last) {
      s.layerMode.value = "single";
      s.to.value = by > 0 ? 0 : last;
    } else {
      const shift = Math.max(-from, Math.min(last - to, by));
      s.from.value = from + shift;
      s.to.value = to + shift;
    }
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
