/** The same word seen in two ways: what can be set against what is shown, and how far two maps agree. */

import { type ColourName, type Scale, scaleOf } from "./colour";
import { modelOf, type Side, unitOf } from "./facts";
import { type Options, presetOptions } from "./filters";
import { type CellMap, mapOf } from "./maps";
import { hasMethod, type Method, methodsOf, specOf, titleOf } from "./methods";
import { entriesOf, explainedWords, type State } from "./state";
import type { Explanation, Preset, Word } from "./wire";

/** A way to see the same word otherwise; one more is one more entry of `rivals`. */
export interface Rival {
  value: string;
  label: string;
  /** Null if the other answer lacks the word. */
  of(side: Side): Side | null;
  /** Another explanation, whose words can be chosen from. */
  e?: Explanation;
}

export interface Agreement {
  /** Σ min of the two maps' shares of positive energy. */
  overlap: number;
  /** Spearman's: equal values share the mean of their ranks. */
  rank: number;
  cosine: number;
}

/** Each value as a share of the map's positive energy; an empty map stays as it is. */
export function shares(map: CellMap): CellMap {
  const sum = map.reduce((total, value) => total + Math.max(0, value), 0);
  return sum > 0 ? map.map((value) => value / sum) : map;
}

/** How far two maps over the same cells agree; NaN where one of them is empty or constant. */
export function agreement(a: CellMap, b: CellMap): Agreement {
  const [one, other] = [shares(a), shares(b)];
  const overlap = one.reduce((sum, value, i) => sum + Math.max(0, Math.min(value, other[i]!)), 0);
  const some = one !== a && other !== b;
  return {
    overlap: some ? overlap : Number.NaN,
    rank: cosine(centred(ranks(a)), centred(ranks(b))),
    cosine: cosine(a, b),
  };
}

const dot = (a: CellMap, b: CellMap): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const cosine = (a: CellMap, b: CellMap): number => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

function centred(map: CellMap): CellMap {
  const mean = map.reduce((a, b) => a + b, 0) / map.length;
  return map.map((value) => value - mean);
}

/** Twice each value's rank, counted from 0. */
function ranks(map: CellMap): CellMap {
  const ends = new Map<number, [first: number, last: number]>();
  for (const [i, value] of map.slice().sort().entries()) ends.set(value, [ends.get(value)?.[0] ?? i, i]);
  return map.map((value) => ends.get(value)![0] + ends.get(value)![1]);
}

/** The rival that is another method's map. */
export const rivalOf = (method: Method): string => `method/${method}`;

export function rivals(s: State, picked: () => string): Rival[] {
  const { header } = s.e;
  const change = (value: string, label: string, options: Partial<Options>): Rival => ({
    value,
    label,
    of: (side) => ({ ...side, options: { ...side.options, ...options } }),
  });
  const method = (name: Method): Rival => ({
    value: rivalOf(name),
    label: titleOf(s.e, name) + (specOf(s.e, name)?.control ? " (chance control)" : ""),
    of: (side) => ({ ...side, method: name }),
  });
  const methods = methodsOf(s.e);
  const presets = Object.keys(header.presets) as Preset[];
  return [
    ...s.sources.slice(1).map((e, i) => ({
      value: String(i + 1),
      label: nameOf(e, s.e, i + 2),
      e,
      of: (side: Side) => elsewhere(side, e, picked()),
    })),
    ...(methods.length > 1 ? methods : []).map(method),
    change("none", "Without filters", { headFilter: "none", fillerFilter: "none" }),
    ...(presets.length < 2 ? [] : presets).map((preset) =>
      change(preset, `Preset ${preset}`, presetOptions(s.e, preset)!),
    ),
    ...(header.keep === "summary"
      ? []
      : [
          change("signed", "With negative gradients", { relu: false }),
          change("positive", "Positive gradients only", { relu: true }),
        ]),
  ];
}

/** The same choice in another explanation, as far as that has it. */
function elsewhere({ e, chosen, options: o, method }: Side, other: Explanation, picked: string): Side | null {
  const { header, size } = other;
  const preset = header.presets[o.preset] ? o.preset : header.preset;
  const alike = size.layers === e.size.layers && size.heads === e.size.heads;
  const words = !chosen.length ? [] : picked ? [header.words[Number(picked)]!] : sameWords(e, chosen, other);
  return (
    words && {
      e: other,
      chosen: words.flatMap((word) => entriesOf(other, word)),
      method: hasMethod(other, method) ? method : "dexar",
      options: {
        ...o,
        preset,
        layers: alike ? o.layers : header.presets[preset]!.layers,
        heads: alike ? o.heads : null,
        textSet: header.textSets.includes(o.textSet) ? o.textSet : "all",
      },
    }
  );
}

/** Its number, what it does not share with the one shown, and its answer. */
function nameOf(e: Explanation, shown: Explanation, at: number): string {
  const [mine, theirs] = [e, shown].map((each) => [modelOf(each), each.header.question]);
  return [at, ...mine!.filter((text, i) => text !== theirs![i]), e.header.answer].join(" · ");
}

const bare = (text: string): string => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "") || text;

/** For each chosen word the first one with its text; null if one is missing. */
function sameWords(e: Explanation, chosen: readonly number[], other: Explanation): Word[] | null {
  const mine = explainedWords(e).filter((word) => entriesOf(e, word).some((entry) => chosen.includes(entry)));
  const theirs = explainedWords(other);
  const found = mine.flatMap((word) => theirs.find(({ text }) => bare(text) === bare(word.text)) ?? []);
  return found.length === mine.length ? found : null;
}

/** Two maps that can be looked at together. */
export interface Pair {
  sides: [Side, Side];
  maps: [CellMap, CellMap];
  unit: string;
  scale: Scale;
  /** A less B; null where the grids differ. */
  difference: CellMap | null;
}

export function pairOf(a: Side, b: Side, raw: boolean, colours: ColourName): Pair {
  const maps = [a, b].map((side) => {
    const map = mapOf(side.e, side.chosen, side.options, side.method);
    return raw ? map : shares(map);
  }) as [CellMap, CellMap];
  const [one, other] = [a.e.header.grid, b.e.header.grid];
  return {
    sides: [a, b],
    maps,
    unit: raw ? unitOf(a) : "share of the map’s energy",
    scale: scaleOf([...maps[0], ...maps[1]], colours),
    difference: one.rows === other.rows && one.cols === other.cols ? maps[0].map((v, i) => v - maps[1][i]!) : null,
  };
}
