/** Two ways to see the same word: two maps on one scale, their difference, and how far they agree in words. */

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import { DIVERGING, paint } from "../colour";
import { agreement, type Pair, pairOf, type Rival, rivals } from "../compare";
import { bind, el, fill, penOf, segmented, select, setAll, watch } from "../dom";
import { type Side, settingsLine, shownSide, unitOf, VEILED, wordsOf } from "../facts";
import { cellName, number, percent } from "../format";
import { bring } from "../host";
import { type CellMap, needed, peakCell, stepsInView } from "../maps";
import { explainedWords, type State } from "../state";
import type { Explanation } from "../wire";
import { computing } from "./compute";
import { type Legend, legend } from "./legend";
import { methodsTable } from "./methods";

export function comparePanel(s: State): HTMLElement {
  const picked = signal("");
  const wanted = signal("raw");
  const all = computed(() => rivals(s, () => picked.value));
  const chosen = signal(firstOf(s, all.peek()).value);
  const rival = computed(() => all.value.find(({ value }) => value === chosen.value)!);
  const { pair, sameUnit, said } = comparison(s, rival, wanted);
  const scales = segmented("Scale", SCALES, bind(wanted));
  const status = el("p", { role: "status" });
  watch(() => {
    scales.hidden = !sameUnit.value;
    status.textContent = said.value;
  });
  const [choice, words, maps] = [el("span"), el("span"), el("div", { class: "pair" })];
  fill(
    choice,
    () => all.value.map(({ value }) => value).join("\n"),
    () => [select("B", all.peek(), bind(chosen))],
  );
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
  const both = el(
    "section",
    { class: "compare", "aria-label": "Compare" },
    el("h2", {}, "A is what is shown; B is the same, but"),
    el("div", { class: "row" }, choice, words, scales),
    status,
    maps,
  );
  return el("div", { class: "comparing" }, methodsTable(s, chosen), computing(s), both);
}

/** One that has the word, and shows it otherwise. */
function firstOf(s: State, all: readonly Rival[]): Rival {
  const now = shownSide(s);
  const differs = (side: Side | null) => side && (side.e !== now.e || settingsLine(side) !== settingsLine(now));
  return all.find((each) => differs(each.of(now))) ?? all[0]!;
}

/** The pair of maps as soon as B's numbers are there, and what is to be said of it; missing numbers are asked for. */
function comparison(s: State, rival: ReadonlySignal<Rival>, scale: ReadonlySignal<string>) {
  const b = computed(() => rival.value.of(shownSide(s)));
  const lack = computed(() => obstacle(s, b.value));
  const sameUnit = computed(() => !b.value || unitOf(shownSide(s)) === unitOf(b.value));
  const pair = computed(() => {
    if (!b.value || lack.value.length) return null;
    return pairOf(shownSide(s), b.value, sameUnit.value && scale.value === "raw", s.colours.value);
  });
  const said = computed(() => {
    if (pair.value) return inWords(pair.value);
    return typeof lack.value === "string" ? lack.value : "B’s numbers are on their way.";
  });
  watch(() => {
    if (b.value && typeof lack.value !== "string") bring(s.host, b.value.e, lack.value);
  });
  return { pair, sameUnit, said };
}

/** What stands in the way of B's map: parts to fetch, or a sentence; empty if nothing does. */
function obstacle(s: State, b: Side | null): string[] | string {
  if (s.veiled.value) return VEILED;
  if (!b) return "The other answer lacks this word: choose one of its own.";
  b.e.revision.value;
  const missing = needed(b.e, stepsInView(b.e, b.chosen), b.options, b.method);
  if (!missing)
    return 'B’s numbers were not kept: explain again with keep="full" (or attention=True), or choose fewer words.';
  if (missing.length && !s.host.connected.value) return "This copy does not hold B’s numbers; the kernel does.";
  return missing;
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
    return { values: maps[i], scale, unit, title: `${"AB"[i]}: ${wordsOf(sides[i])}, ${settingsLine(sides[i])}` };
  };
  const difference = (): Drawn | null => {
    const found = pair();
    if (!found?.difference) return null;
    const reach = found.difference.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    const scale = { colours: DIVERGING, low: -reach, high: reach };
    return {
      values: found.difference,
      scale,
      unit: found.unit,
      title: "A − B: red where A has more, blue where B has",
    };
  };
  return [
    figure(s, s.e, side(0), true),
    figure(s, other, side(1), true),
    legend(side(0)),
    figure(s, s.e, difference, false),
    legend(difference),
  ];
}

interface Drawn extends Legend {
  values: CellMap;
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
    const { values, scale } = found;
    title.textContent = found.title;
    setAll(canvas, { "aria-label": `${found.title}. ${number(scale.low)} to ${number(scale.high)}.` });
    canvas.dataset.sum = String(values.reduce((a, b) => a + b, 0));
    canvas.classList.toggle("cells", !s.display.value.smooth);
    const opacity = over ? s.opacity.value : 1;
    const pixels = paint(values, scale, opacity, over && s.display.value.fade);
    penOf(canvas)?.putImageData(new ImageData(pixels as ImageDataArray, grid.cols, grid.rows), 0, 0);
  });
  return all;
}

/** Where the two peak, and how far they agree. */
function inWords({ sides, maps, difference }: Pair): string {
  const [a, b] = maps.map((map, i) => {
    return cellName(sides[i]!.e, peakCell(map));
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
