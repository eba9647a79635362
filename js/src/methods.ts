/** The methods that a map can be of: made here of layers and filters, or ready-made by Python. */

import type { CellMap } from "./maps";
import { type Explanation, type MethodSpec, need, valueAt } from "./wire";

/**
 * `dexar`: the method of the paper. `attention`: where its rows were kept, the attention itself, its mean over heads and
 * the chosen layers. All others are the header's, by name.
 */
export type Method = string;

const MADE_HERE: Record<Method, string> = { dexar: "DEX-AR", attention: "Raw attention" };

const isMadeHere = ({ header }: Explanation, method: Method): boolean =>
  method === "dexar" || (method === "attention" && header.attention);

/** What Python says of a method. */
export const specOf = ({ header }: Explanation, method: Method): MethodSpec | undefined =>
  header.methods.find(({ name }) => name === method);

/** The same, of a method whose maps came ready-made: neither layers nor filters apply to them. */
export const readyMade = (e: Explanation, method: Method): MethodSpec | undefined =>
  isMadeHere(e, method) ? undefined : specOf(e, method);

/** All methods of an explanation: the paper's first, chance controls last. */
export function methodsOf(e: Explanation): Method[] {
  e.revision.value;
  const { attention, methods } = e.header;
  const others = [...methods].sort((a, b) => Number(a.control) - Number(b.control)).map(({ name }) => name);
  return [...new Set(["dexar", ...(attention ? ["attention"] : []), ...others])];
}

export const hasMethod = (e: Explanation, method: Method): boolean => methodsOf(e).includes(method);

/** Its name as people write it. */
export const titleOf = (e: Explanation, method: Method): string =>
  (isMadeHere(e, method) ? MADE_HERE[method] : specOf(e, method)?.title) ?? method.replaceAll("_", " ");

/** What its maps do not follow, in sentences; empty for the paper's method, which follows everything. */
export function limitsOf(e: Explanation, method: Method): string {
  if (method === "dexar") return "";
  const ready = readyMade(e, method);
  if (!ready) return "Where heads look, whatever it is worth to the word; no filter applies.";
  return [
    ready.control && "A chance control: it knows nothing of the model.",
    ready.whole && "One map for the whole answer, whichever word is chosen.",
    "Layers and filters do not apply.",
  ]
    .filter(Boolean)
    .join(" ");
}

/** Which of a method's maps are those of some steps. */
const rowsOf = (e: Explanation, { steps }: MethodSpec, entries: readonly number[]): number[] =>
  entries.map((entry) => steps.indexOf(e.header.steps[entry]!)).filter((row) => row >= 0);

/** The parts that ready-made maps still miss; null if the method gave none of these steps. */
export function readyParts(e: Explanation, entries: readonly number[], method: Method): string[] | null {
  const ready = readyMade(e, method);
  if (!ready || !(ready.whole || rowsOf(e, ready, entries).length)) return null;
  const part = `method/${method}`;
  return e.blocks.has(part) ? [] : [part];
}

/** Ready-made maps of the chosen steps, summed raw; the whole answer's where none is chosen, or where it has one alone. */
export function readyMap(e: Explanation, ready: MethodSpec, chosen: readonly number[]): CellMap {
  const { cells } = e.size;
  const answer = ready.whole || !chosen.length;
  const block = need(e, `method/${ready.name}${answer ? "/answer" : ""}`);
  const out = new Float64Array(cells);
  for (const row of answer ? [0] : rowsOf(e, ready, chosen))
    for (let cell = 0; cell < cells; cell++) out[cell]! += valueAt(block, row * cells + cell);
  return out;
}
