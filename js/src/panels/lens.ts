/** What each layer would say if it were the last: the word's logit and rank, and the layer's own first words. */

import { computed, signal } from "@preact/signals-core";
import { el, sentence, watch } from "../dom";
import { listed, number, piece, quoted } from "../format";
import type { State } from "../state";
import { need } from "../wire";
import { chart, key, type Line, layerAt, rise, type Vertical } from "./chart";

const HEIGHT = 104;

interface Reading {
  /** The token, as it was said. */
  token: string;
  logits: number[];
  ranks: number[];
  /** Per layer its first words, the likeliest first. */
  words: string[][];
}

/** The lens on one step, by its entry. */
export function lensOf(s: State, entry: number): Reading {
  const { header, size } = s.e;
  const [logit, rank, top] = ["logit", "rank", "top"].map((name) => need(s.e, `lens/${name}`));
  const layers = header.layers.map((_, layer) => entry * size.layers + layer);
  const k = top!.shape[2]!;
  return {
    token: quoted(piece(header.pieces[header.steps[entry]!] ?? "")),
    logits: layers.map((at) => logit!.data[at]!),
    ranks: layers.map((at) => rank!.data[at]!),
    words: layers.map((at) => Array.from(top!.data.subarray(at * k, at * k + k), (id) => header.lensWords[id] ?? "")),
  };
}

export function lensChart(s: State): HTMLElement {
  if (!s.e.blocks.has("lens/rank"))
    return sentence(() => "How the word rises through the layers was not kept: dx.explain(…, lens=True) keeps it.");
  const entry = computed(() => s.shown.value.chosen[0]);
  const reading = computed(() => (entry.value === undefined ? null : lensOf(s, entry.value)));
  const pointed = signal<number | null>(null);
  const picture = chart(
    s,
    HEIGHT,
    () => (reading.value ? linesOf(reading.value) : [{ ...EMPTY, values: [] }]),
    () => (reading.value ? inWords(s, reading.value) : ""),
  );
  picture.addEventListener("pointermove", (event) => {
    pointed.value = layerAt(s, picture, event as PointerEvent);
  });
  picture.addEventListener("pointerleave", () => {
    pointed.value = null;
  });
  const figure = el("figure", {}, key("Rank, 0 is the layer’s first choice", "Logit", ""), picture);
  watch(() => {
    figure.hidden = !reading.value;
  });
  const line = sentence(() =>
    reading.value
      ? atLayer(s, reading.value, pointed.value ?? s.options.value.layers[1])
      : "Choose a word to see how it rises through the layers.",
  );
  return el("div", { class: "lens" }, figure, line);
}

/** Rank 0 at the top, each tenfold as far below; a logit between its own least and largest. */
function linesOf({ logits, ranks }: Reading): Line[] {
  const depth = Math.log1p(Math.max(...ranks, 1));
  const [low, high] = [Math.min(...logits), Math.max(...logits)];
  const rank: Vertical = {
    ticks: [0, Math.round(Math.expm1(depth / 2)), Math.max(...ranks, 1)].map((value) => [value, String(value)]),
    at: (value) => rise(HEIGHT, 1 - Math.log1p(value) / depth),
  };
  const logit: Vertical = {
    ticks: [],
    at: (value) => rise(HEIGHT, high > low ? (value - low) / (high - low) : 0.5),
  };
  return [
    { values: ranks, kind: "visual", y: rank, say: (value) => `rank ${value}` },
    { values: logits, kind: "text", y: logit, say: (value) => `logit ${number(value)}` },
  ];
}

const EMPTY: Omit<Line, "values"> = { kind: "visual", y: { ticks: [], at: () => 0 }, say: String };

function atLayer(s: State, { token, logits, ranks, words }: Reading, at: number): string {
  const first = words[at]!.map((word) => quoted(word));
  return `After layer ${s.e.header.layers[at]}, ${token} has rank ${ranks[at]} and logit ${number(logits[at]!)}; the layer would say ${listed(first)}.`;
}

function inWords(s: State, { token, ranks }: Reading): string {
  const { layers } = s.e.header;
  const first = ranks.indexOf(0);
  const all = ranks.map((rank, i) => `${layers[i]}: ${rank}`).join(", ");
  return `Rank of ${token} by layer: ${all}. ${first < 0 ? "No layer" : `Layer ${layers[first]} is the first that`} puts it first.`;
}
