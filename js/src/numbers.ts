/** Exactly the numbers of what is shown, for files. */

import { record, shownSide } from "./facts";
import { headWeights, sensitivity } from "./filters";
import { piece } from "./format";
import { type Column, npz } from "./npz";
import { type State, wordAt } from "./state";
import type { Numbers } from "./tensor";
import { readTraits } from "./traits";

/** Values along named axes; `labels` are the axes' true indices. */
interface Table {
  axes: ("step" | "layer" | "head" | "row" | "col")[];
  values: Float64Array;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/** True indices along every axis. */
function labelsOf(s: State) {
  const { grid, steps, layers } = s.e.header;
  const [from, to] = s.options.value.layers;
  return {
    step: s.steps.value.map((entry) => steps[entry]!),
    layer: layers.slice(from, to + 1),
    head: range(0, s.e.size.heads),
    row: range(0, grid.rows),
    col: range(0, grid.cols),
  };
}

function tablesOf(s: State): Record<string, Table> {
  const { options: o, method } = shownSide(s);
  const map: Table = { axes: ["row", "col"], values: s.map.value };
  if (method !== "dexar") return { map };
  const { layers, heads } = s.e.size;
  const part = (all: Numbers | Float64Array): Table => ({
    axes: ["step", "layer", "head"],
    values: Float64Array.from(
      s.steps.value.flatMap((step) => [
        ...all.subarray((step * layers + o.layers[0]) * heads, (step * layers + o.layers[1] + 1) * heads),
      ]),
    ),
  });
  const { visual, text } = sensitivity(s.e, o.headFilter, o);
  return {
    map,
    step_weights: { axes: ["step"], values: Float64Array.from(s.steps.value, (step) => s.weights.value[step]!) },
    head_weights: part(headWeights(s.e, o)),
    visual_sensitivity: part(visual),
    text_sensitivity: part(text),
  };
}

const wordOf = (s: State, step: number): string =>
  wordAt(s.e, s.e.entryOf.get(step)!)?.text ?? piece(s.e.header.pieces[step]!);

export const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;

/** One row per number; above them what they depend on, each value as JSON. */
export function csvOf(s: State): string {
  const labels = labelsOf(s);
  const head = Object.entries(record(s)).map(([name, value]) => `# ${name}: ${JSON.stringify(value)}`);
  const axes = ["step", "layer", "head", "row", "col"] as const;
  const rows = Object.entries(tablesOf(s)).flatMap(([name, table]) =>
    Array.from(table.values, (value, at) => {
      const place: Partial<Record<(typeof axes)[number], number>> = {};
      for (const axis of [...table.axes].reverse()) {
        const all = labels[axis];
        place[axis] = all[at % all.length]!;
        at = Math.floor(at / all.length);
      }
      const word = place.step === undefined ? "" : quote(wordOf(s, place.step));
      return [name, word, ...axes.map((axis) => place[axis] ?? ""), value].join(",");
    }),
  );
  return `${[...head, ["quantity", "word", ...axes, "value"].join(","), ...rows].join("\n")}\n`;
}

export function npzOf(s: State): Uint8Array<ArrayBuffer> {
  const labels = labelsOf(s);
  const whole = (values: number[]): Column => ({
    shape: [values.length],
    data: BigInt64Array.from(values, BigInt),
  });
  const tables = Object.entries(tablesOf(s)).map(([name, { axes, values }]): [string, Column] => [
    name,
    { shape: axes.map((axis) => labels[axis].length), data: values },
  ]);
  return npz({
    ...Object.fromEntries(tables),
    steps: whole(labels.step),
    layers: whole(labels.layer),
    words: { shape: [labels.step.length], data: labels.step.map((step) => wordOf(s, step)) },
    "provenance.json": { shape: [], data: [JSON.stringify({ ...record(s), view: readTraits(s) })] },
  });
}
