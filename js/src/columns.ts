/** Words × methods: every method's map of every word, on scales that are the same for all, and what each method took. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { type ColourName, DIVERGING, type Scale, scaleOf } from "./colour";
import { shares } from "./compare";
import { bytes } from "./format";
import { type CellMap, extent, mapOf, needed, percentile, stepsInView } from "./maps";
import { type Method, readyMade, readyMap, readyParts, titleOf } from "./methods";
import { entriesOf, explainedWords, type State } from "./state";
import type { Explanation, MethodSpec } from "./wire";

/** `own`: each map by itself; `method`: a method's words by one scale; `share`: all maps' shares of energy by one. */
export type Scaling = "own" | "method" | "share";

export interface Row {
  text: string;
  /** Entries of its steps; none stand for the whole answer. */
  entries: readonly number[];
}

export const rowsOf = (e: Explanation): Row[] => [
  { text: "Whole answer", entries: [] },
  ...explainedWords(e).map((word) => ({ text: word.text.trim() || "␣", entries: entriesOf(e, word) })),
];

/** The parts that a method's column still misses; null if it has none. A map that is made here follows the view. */
export function columnParts({ e, options }: State, method: Method): string[] | null {
  const every = stepsInView(e, []);
  e.revision.value;
  return readyMade(e, method) ? readyParts(e, every, method) : needed(e, every, options.value, method);
}

/** A method's map of each row; null where it gave none, or where its numbers are not here. */
export function columnOf(s: State, method: Method, rows: readonly Row[]): (CellMap | null)[] {
  const { e } = s;
  if (columnParts(s, method)?.length !== 0) return rows.map(() => null);
  const ready = readyMade(e, method);
  if (!ready) return rows.map(({ entries }) => mapOf(e, entries, s.options.value, method));
  const has = ({ entries }: Row) => !entries.length || (!ready.whole && readyParts(e, entries, method) !== null);
  return rows.map((row) => (has(row) ? readyMap(e, ready, row.entries) : null));
}

/** As `shares`, but without a sum to divide by nothing is left. */
export const shareOf = (map: CellMap): CellMap => (map.some((value) => value > 0) ? shares(map) : map.map(() => 0));

/** All values of several maps. */
const valuesOf = (maps: readonly (CellMap | null)[]): number[] => maps.flatMap((map) => (map ? [...map] : []));

/** One scale of many maps' shares: the largest share, or a percentile, ends it on both sides of zero if some are negative. */
export function commonScale(maps: readonly (CellMap | null)[], colours: ColourName, clip: number): Scale {
  const all = valuesOf(maps);
  const high = all.length ? Math.max(0, percentile(all, clip)) : 0;
  const low = Math.min(0, extent(all)[0]);
  return low < 0 ? { colours: DIVERGING, low: -high, high } : { colours, low, high };
}

/** A column's scales by itself: of each map, or of its words together, whose unit the whole answer's map does not have. */
export function columnScales(
  maps: readonly (CellMap | null)[],
  how: Scaling,
  colours: ColourName,
  clip: number,
): (Scale | null)[] {
  const own = maps.map((map) => map && scaleOf(map, colours, clip));
  const words = valuesOf(maps.slice(1));
  if (how === "own" || !words.length) return own;
  const shared = scaleOf(words, colours, clip);
  return [own[0]!, ...maps.slice(1).map((map) => map && shared)];
}

export interface Column {
  method: Method;
  title: string;
  /** Of each row, as it is drawn: raw, or its shares of energy. */
  maps: ReadonlySignal<(CellMap | null)[]>;
  scales: ReadonlySignal<(Scale | null)[]>;
}

export interface Sheet {
  rows: readonly Row[];
  columns: readonly Column[];
  /** The one scale of all shares, and what it is of. */
  common: ReadonlySignal<{ scale: Scale; values: number[] }>;
}

export function sheetOf(s: State, methods: readonly Method[], scaling: ReadonlySignal<Scaling>): Sheet {
  const rows = rowsOf(s.e);
  const hidden = rows.map(() => null);
  const looks = computed(() => [s.colours.value, s.display.value.clip] as const);
  const common = computed(() => {
    const maps = columns.flatMap((column) => column.maps.value);
    return { scale: commonScale(maps, ...looks.value), values: valuesOf(maps) };
  });
  const columns = methods.map((method): Column => {
    const raw = computed(() => (s.veiled.value ? hidden : columnOf(s, method, rows)));
    const maps = computed(() => (scaling.value === "share" ? raw.value.map((map) => map && shareOf(map)) : raw.value));
    const scales = computed(() =>
      scaling.value === "share"
        ? rows.map(() => common.value.scale)
        : columnScales(maps.value, scaling.value, ...looks.value),
    );
    return { method, title: titleOf(s.e, method), maps, scales };
  });
  return { rows, columns, common };
}

const digits = (value: number): string => String(Number(value.toPrecision(3)));

/** What a method took, as rows of the table have it. */
export const COSTS: { label: string; title: string; say(spec: MethodSpec): string }[] = [
  {
    label: "Seconds",
    title: "The answer, the pass that several methods can share, and the method’s own work",
    say: ({ seconds }) => digits(seconds),
  },
  {
    label: "its own",
    title: "Without the answer, and without the pass that several methods can share",
    say: ({ own }) => digits(own),
  },
  {
    label: "Memory",
    title: "The most that the method held at once, over what was in use before",
    say: ({ peakBytes }) => (peakBytes === null ? "–" : bytes(peakBytes)),
  },
  {
    label: "Passes",
    title: "Forward · backward passes through the model after the answer, each image of a batch as one",
    say: ({ forwards, backwards }) => `${forwards} · ${backwards}`,
  },
];
