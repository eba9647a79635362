/** Which heads read the image: a matrix of layers × heads to look into, and to choose heads with. */

import { batch, computed, signal } from "@preact/signals-core";
import { bind, button, el, segmented, setAll, watch } from "../dom";
import { headWeights, sensitivity, winner } from "../filters";
import { number, piece, plural, quoted } from "../format";
import { peakCell, rankOf } from "../maps";
import { allLayers, type State } from "../state";
import { counts, obstacle } from "./filters";
import { matrixView, type Place, say } from "./matrix";

type Kind = "delta" | "visual" | "text";
type Order = "model" | "value";
type Values = Record<Kind, Float64Array>;

const KINDS: { value: Kind; label: string }[] = [
  { value: "delta", label: "δ" },
  { value: "visual", label: "Image" },
  { value: "text", label: "Text" },
];
const ORDERS: { value: Order; label: string }[] = [
  { value: "model", label: "As in the model" },
  { value: "value", label: "Largest first" },
];
/** Rows of the list of heads. */
const LISTED = 10;

/** Mean over the steps in view of every layer's heads, chosen or not. */
export function headValues(s: State, kind: Kind): Float64Array {
  const o = s.options.value;
  const values = kind === "delta" ? headWeights(s.e, { ...o, heads: null }) : sensitivity(s.e, o.headFilter, o)[kind];
  const mean = new Float64Array(s.e.size.layers * s.e.size.heads);
  const steps = s.steps.value;
  for (const step of steps)
    for (let at = 0; at < mean.length; at++) mean[at]! += values[step * mean.length + at]! / steps.length;
  return mean;
}

/** The heads in the order of the matrix: the last layer on top, or the largest values first. */
export function headOrder(values: Float64Array, heads: number, order: Order): number[] {
  const layers = Array.from({ length: values.length / heads }, (_, layer) =>
    Array.from({ length: heads }, (_, head) => layer * heads + head),
  );
  if (order === "model") return layers.reverse().flat();
  const falling = (a: number, b: number) => values[b]! - values[a]!;
  return layers
    .map((row) => row.sort(falling))
    .sort((a, b) => falling(a[0]!, b[0]!))
    .flat();
}

const everyHead = (s: State): number[] => [...Array(s.e.size.layers * s.e.size.heads).keys()];

/** These heads alone, or all again where they were alone; with `toggle` they are muted, or not any more. */
export function chooseHeads(s: State, ats: readonly number[], toggle: boolean): void {
  const all = everyHead(s);
  const now = all.filter((at) => isOn(s, at));
  const on = ats.every((at) => isOn(s, at));
  const others = without(now, ats);
  const next = !toggle ? (on && !others.length ? [] : ats) : on ? others : [...others, ...ats];
  batch(() => {
    s.heads.value = next.length && next.length < all.length ? new Set(next) : null;
    if (!toggle && !ats.every((at) => inLayers(s, at))) allLayers(s);
  });
}

const without = (all: number[], ats: readonly number[]): number[] => all.filter((at) => !ats.includes(at));

const isOn = (s: State, at: number): boolean => s.heads.value?.has(at) ?? true;

const inLayers = (s: State, at: number): boolean => {
  const [from, to] = s.options.value.layers;
  return at >= from * s.e.size.heads && at < (to + 1) * s.e.size.heads;
};

const nameAt = (s: State, at: number): string =>
  `layer ${s.e.header.layers[Math.floor(at / s.e.size.heads)]}, head ${at % s.e.size.heads}`;

const why = (s: State): string => obstacle(s, { heads: new Set([0]) });

export function headsPanel(s: State): HTMLElement {
  const kind = signal<Kind>("delta");
  const order = signal<Order>("model");
  const all = computed<Values>(() => ({
    delta: headValues(s, "delta"),
    visual: headValues(s, "visual"),
    text: headValues(s, "text"),
  }));
  return el(
    "section",
    { class: "heads", "aria-label": "Heads" },
    el("div", { class: "head" }, el("h2", {}, "Heads"), counts(s)),
    el(
      "div",
      { class: "row" },
      segmented("What the squares show", KINDS, bind(kind)),
      segmented("Order", ORDERS, bind(order)),
    ),
    squares(s, all, kind, order),
    buttons(s),
    list(s, all, kind),
    el(
      "p",
      { class: "hint" },
      "Heads from 0 on the left; means over the words in view; small squares do not count. Click or Enter: that head alone. Shift-click or Space: mute it, or bring it back. A layer’s name stands for its heads.",
    ),
  );
}

type Read<T> = { readonly value: T };

function squares(s: State, all: Read<Values>, kind: Read<Kind>, order: Read<Order>): HTMLElement {
  const { layers, heads } = s.e.size;
  const values = () => all.value[kind.value];
  const shown = computed(() => headOrder(values(), heads, order.value));
  const at = ({ row, col }: Place): number[] =>
    col < 0 ? shown.value.slice(row * heads, (row + 1) * heads) : [shown.value[row * heads + col]!];
  return matrixView({
    cols: heads,
    rows: () => Array.from({ length: layers }, (_, row) => nameAt(s, shown.value[row * heads]!).split(",")[0]!),
    values: () => shown.value.map((entry) => values()[entry]!),
    colours: () => s.colours.value,
    counts: (place) => isOn(s, shown.value[place]!) && inLayers(s, shown.value[place]!),
    summary: () => summary(s, values(), kind.value),
    reading: (place) =>
      place.col < 0 ? rowReading(s, at(place)) : headReading(s, all.value, kind.value, at(place)[0]!),
    act: (place, event) => choose(s, at(place), event),
  });
}

/** Unless single heads' numbers cannot be had. */
function choose(s: State, ats: readonly number[], event: MouseEvent | KeyboardEvent): void {
  const toggle = event.shiftKey || event.ctrlKey || event.metaKey || ("key" in event && event.key === " ");
  if (!why(s)) chooseHeads(s, ats, toggle);
}

function summary(s: State, values: Float64Array, kind: Kind): string {
  const best = peakCell(values);
  const what = { delta: "Weight δ", visual: "Image", text: "Text" }[kind];
  return `${what}: ${values[best] ? `largest in ${nameAt(s, best)} (${number(values[best]!)})` : "0 everywhere"}.`;
}

function rowReading(s: State, ats: number[]): string {
  const on = ats.filter((at) => isOn(s, at)).length;
  return `${nameAt(s, ats[0]!).split(",")[0]} · ${on} of ${plural(ats.length, "head")} on${inLayers(s, ats[0]!) ? "" : " · outside the chosen layers"}`;
}

function headReading(s: State, all: Values, kind: Kind, at: number): string {
  const values = all[kind];
  const [delta, visual, text] = KINDS.map(({ value }) => number(all[value][at]!));
  return `${nameAt(s, at)} · rank ${rankOf(values, at)} of ${values.length} · δ ${delta} · image ${visual} · text ${text} · ${verdict(s, at)}`;
}

/** Whether a head counts, and if not, why; where the head filter drops it, which text tokens won. */
export function verdict(s: State, at: number): string {
  if (!isOn(s, at)) return "muted";
  if (!inLayers(s, at)) return "outside the chosen layers";
  const o = s.options.value;
  if (o.headFilter === "none") return "counts, as the head filter is off";
  const { layers, heads } = s.e.size;
  const delta = headWeights(s.e, o);
  const steps = s.steps.value;
  const dropped = steps.filter((step) => !delta[step * layers * heads + at]);
  if (!dropped.length) return "kept: the image wins";
  const said = steps.length === 1 ? "dropped" : `dropped at ${dropped.length} of ${plural(steps.length, "token")}`;
  return `${said}: ${wonBy(
    s,
    dropped.map((step) => winner(s.e, step, Math.floor(at / heads), at % heads, o)),
  )}`;
}

function wonBy(s: State, positions: number[]): string {
  const times = new Map<number, number>();
  for (const token of positions) times.set(token, (times.get(token) ?? 0) + 1);
  const [token, count] = [...times].sort((a, b) => b[1] - a[1])[0]!;
  const found = s.e.header.tokens[token];
  if (!found) return "nothing raises the word";
  return `the text wins${count === positions.length ? "" : ", mostly"} on ${quoted(piece(found[0]))}`;
}

function buttons(s: State): HTMLElement {
  const all = button("All heads", () => {
    s.heads.value = null;
  });
  const invert = button("Invert", () => {
    s.heads.value = s.heads.value && new Set(without(everyHead(s), [...s.heads.value]));
  });
  const status = el("span", { class: "reason", role: "status" });
  watch(() => {
    setAll(all, { "aria-pressed": String(!s.heads.value) });
    invert.disabled = !s.heads.value;
    status.textContent = statusText(s);
  });
  return el("div", { class: "row" }, all, invert, status);
}

export function statusText(s: State): string {
  const on = s.heads.value;
  const reason = why(s);
  if (reason) return `Choosing heads: ${reason}.`;
  if (s.shown.value.missing?.length) return "Loading …";
  if (!on) return "Every head is on.";
  return on.size === 1 ? `Only ${nameAt(s, [...on][0]!)} is on.` : `${on.size} of ${everyHead(s).length} heads are on.`;
}

/** The largest heads as a table; its rows stay, so that the focus does. */
function list(s: State, all: Read<Values>, kind: Read<Kind>): HTMLElement {
  const total = everyHead(s).length;
  const ranked = computed(() => headOrder(all.value[kind.value], total, "value"));
  const rows = Array.from({ length: Math.min(LISTED, total) }, (_, i) => {
    const button = el("button", { type: "button" });
    button.addEventListener("click", (event) => choose(s, [ranked.value[i]!], event));
    return el("tr", {}, el("th", { scope: "row" }, button), ...KINDS.map(() => el("td")), el("td"));
  });
  watch(() => {
    rows.forEach((row, i) => {
      const at = ranked.value[i]!;
      const [name, ...cells] = [...row.children];
      const button = name!.firstElementChild as HTMLButtonElement;
      say(button, nameAt(s, at));
      button.disabled = why(s) !== "";
      setAll(button, { "aria-pressed": String(!!s.heads.value && isOn(s, at)) });
      const texts = [...KINDS.map(({ value }) => number(all.value[value][at]!)), verdict(s, at)];
      for (const [k, text] of texts.entries()) say(cells[k]!, text);
    });
  });
  const titles = ["Head", ...KINDS.map(({ label }) => label), "Counts?"];
  const header = el("tr", {}, ...titles.map((title) => el("th", { scope: "col" }, title)));
  return el(
    "div",
    { class: "scroll" },
    el("table", {}, el("caption", {}, "The largest"), el("thead", {}, header), el("tbody", {}, ...rows)),
  );
}
