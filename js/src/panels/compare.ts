/** The same word seen in two ways: two maps, their difference, and how far they agree in numbers. */

import { computed, type Signal, signal } from "@preact/signals-core";
import { type ColourName, DIVERGING, gradient, paint, type Scale, scaleOf } from "../colour";
import { bind, el, fill, segmented, select, setAll, watch } from "../dom";
import { modelOf, type Side, settingsLine, shownSide, unitOf, wordsOf } from "../facts";
import type { Options } from "../filters";
import { number, percent } from "../format";
import { type CellMap, type Method, mapOf, needed, peakCell } from "../maps";
import { entriesOf, explainedWords, type State } from "../state";
import type { Explanation, Preset, Word } from "../wire";

/** A way to see the same word otherwise; one more is one more entry of `rivals`. */
interface Rival {
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

function rivals(s: State, picked: () => string): Rival[] {
  const { header } = s.e;
  const change = (value: string, label: string, options: Partial<Options>): Rival => ({
    value,
    label,
    of: (side) => ({ ...side, options: { ...side.options, ...options } }),
  });
  const method = (value: Method, label: string): Rival => ({
    value,
    label,
    of: (side) => ({ ...side, method: value }),
  });
  const presets = Object.entries(header.presets);
  return [
    ...s.sources.slice(1).map((e, i) => ({
      value: String(i + 1),
      label: nameOf(e, s.e, i + 2),
      e,
      of: (side: Side) => elsewhere(side, e, picked()),
    })),
    change("none", "Without filters", { headFilter: "none", fillerFilter: "none" }),
    ...(presets.length < 2 ? [] : presets).map(([preset, spec]) =>
      change(preset, `Preset ${preset}`, {
        ...spec,
        preset: preset as Preset,
        heads: null,
        headFilter: "max",
        fillerFilter: "max",
        relu: true,
      }),
    ),
    ...(header.attention ? [method("attention", "Raw attention"), method("dexar", "DEX-AR")] : []),
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
      method: header.attention ? method : "dexar",
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
  const [mine, theirs] = [e, shown].map((each) => [modelOf(each), each.header.prompt]);
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
interface Pair {
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

/** What stands in the way of B's map: parts to fetch, or a sentence; empty if nothing does. */
function obstacle(s: State, b: Side | null): string[] | string {
  if (s.veiled.value) return "The map is hidden until the guess is made.";
  if (!b) return "The other answer lacks this word: choose one of its own.";
  b.e.revision.value;
  const steps = b.chosen.length ? b.chosen : b.e.header.steps.map((_, entry) => entry);
  const missing = needed(b.e, steps, b.options, b.method);
  if (!missing)
    return 'B’s numbers were not kept: explain again with keep="full" (or attention=True), or choose fewer words.';
  if (missing.length && !s.host.connected.value) return "This copy does not hold B’s numbers; the kernel does.";
  return missing;
}

export function comparePanel(s: State): HTMLElement {
  const picked = signal("");
  const wanted = signal("raw");
  const all = rivals(s, () => picked.value);
  const chosen = signal(all[0]!.value);
  const rival = computed(() => all.find(({ value }) => value === chosen.value)!);
  const b = computed(() => rival.value.of(shownSide(s)));
  const lack = computed(() => obstacle(s, b.value));
  const raw = computed(() => !b.value || unitOf(shownSide(s)) === unitOf(b.value));
  const pair = computed(() =>
    b.value && !lack.value.length
      ? pairOf(shownSide(s), b.value, raw.value && wanted.value === "raw", s.colours.value)
      : null,
  );
  watch(() => {
    if (b.value && Array.isArray(lack.value) && lack.value.length) s.host.want(b.value.e, lack.value).catch(() => {});
  });
  const scales = segmented("Scale", SCALES, bind(wanted));
  const said = el("p", { role: "status" });
  watch(() => {
    scales.hidden = !raw.value;
    const { value } = lack;
    said.textContent = pair.value
      ? inWords(pair.value)
      : Array.isArray(value)
        ? "B’s numbers are on their way."
        : value;
  });
  const [words, maps] = [el("span"), el("div", { class: "pair" })];
  fill(
    words,
    () => (s.chosen.value.length ? rival.value.e : undefined),
    (e) => (e ? [wordList(e, picked)] : []),
  );
  fill(
    maps,
    () => rival.value.e ?? s.e,
    (e) => figures(s, e, () => pair.value),
  );
  return el(
    "section",
    { class: "compare", "aria-label": "Compare" },
    el("h2", {}, "A is what is shown; B is the same, but"),
    el("div", { class: "row" }, select("B", all, bind(chosen)), words, scales),
    said,
    maps,
  );
}

const SCALES = [
  { value: "raw", label: "Raw values" },
  { value: "share", label: "Share of energy", title: "Each map divided by the sum of its positive values" },
];

function wordList(e: Explanation, picked: Signal<string>): HTMLElement {
  picked.value = "";
  const words = explainedWords(e).map((word) => ({ value: String(e.header.words.indexOf(word)), label: word.text }));
  return select("Word", [{ value: "", label: "the same" }, ...words], bind(picked));
}

/** A, B and their legend; A less B and its own. */
function figures(s: State, other: Explanation, pair: () => Pair | null): HTMLElement[] {
  const side = (i: 0 | 1) => (): Drawn | null => {
    const found = pair();
    if (!found) return null;
    const { sides, maps, scale, unit } = found;
    return { map: maps[i], scale, unit, title: `${"AB"[i]}: ${wordsOf(sides[i])}, ${settingsLine(sides[i])}` };
  };
  const difference = (): Drawn | null => {
    const found = pair();
    if (!found?.difference) return null;
    const reach = found.difference.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    const scale = { colours: DIVERGING, low: -reach, high: reach };
    return { map: found.difference, scale, unit: found.unit, title: "A − B: red where A has more, blue where B has" };
  };
  return [
    figure(s, s.e, side(0), true),
    figure(s, other, side(1), true),
    legend(side(0)),
    figure(s, s.e, difference, false),
    legend(difference),
  ];
}

interface Drawn {
  map: CellMap;
  scale: Scale;
  unit: string;
  title: string;
}

/** A map over its image, or on white. */
function figure(s: State, { header }: Explanation, drawn: () => Drawn | null, over: boolean): HTMLElement {
  const { image, grid } = header;
  const [left, top, right, bottom] = grid.box;
  const canvas = el("canvas", { role: "img", width: grid.cols, height: grid.rows });
  const side = (from: number, of: number) => `${(100 * from) / of}%`;
  Object.assign(canvas.style, {
    left: side(left, image.width),
    top: side(top, image.height),
    width: side(right - left, image.width),
    height: side(bottom - top, image.height),
  });
  const stage = el("div", { class: "stage" }, over ? el("img", { src: image.src, alt: "" }) : null, canvas);
  stage.style.aspectRatio = `${image.width} / ${image.height}`;
  const title = el("figcaption", { class: "hint" });
  const all = el("figure", {}, stage, title);
  watch(() => {
    const found = drawn();
    all.hidden = !found;
    if (!found) return;
    const { map, scale } = found;
    title.textContent = found.title;
    setAll(canvas, { "aria-label": `${found.title}. ${number(scale.low)} to ${number(scale.high)}.` });
    canvas.dataset.sum = String(map.reduce((a, b) => a + b, 0));
    canvas.classList.toggle("cells", !s.display.value.smooth);
    const opacity = over ? s.opacity.value : 1;
    const pixels = paint(map, scale, opacity, over && s.display.value.fade);
    canvas.getContext("2d")?.putImageData(new ImageData(pixels as ImageDataArray, grid.cols, grid.rows), 0, 0);
  });
  return all;
}

function legend(drawn: () => Drawn | null): HTMLElement {
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  const ticks = el("div", { class: "ticks" });
  const unit = el("span", { class: "unit" });
  const all = el("div", { class: "legend" }, bar, ticks, unit);
  watch(() => {
    const found = drawn();
    all.hidden = !found;
    if (!found) return;
    const { low, high } = found.scale;
    bar.style.background = gradient(found.scale);
    ticks.replaceChildren(...[low, (low + high) / 2, high].map((value) => el("span", {}, number(value))));
    unit.textContent = found.unit;
  });
  return all;
}

/** Where the two peak, and how far they agree. */
function inWords({ sides, maps, difference }: Pair): string {
  const [a, b] = maps.map((map, i) => {
    const { cols } = sides[i]!.e.header.grid;
    const cell = peakCell(map);
    return `row ${Math.floor(cell / cols) + 1}, column ${(cell % cols) + 1}`;
  });
  const peaks = a === b ? `Both peak at ${a}.` : `A peaks at ${a}; B at ${b}.`;
  if (!difference) return `${peaks} Their grids differ, so cells cannot be set against each other.`;
  const { overlap, rank, cosine } = agreement(...maps);
  if (Number.isNaN(overlap + rank)) return "One of the two maps is empty or constant: there is nothing to compare.";
  const degree = rank > 0.7 ? "largely" : rank > 0.3 ? "partly" : "hardly";
  return (
    `${peaks} They ${degree} rank the cells alike (correlation ${number(rank)}); ` +
    `${percent(overlap)} of their energy lies in the same cells; cosine ${number(cosine)}.`
  );
}
