/** The view as Python code: it computes the same map, and opens the same view. */

import { headsOf, layersOf, shownSide, wordsOf } from "./facts";
import { readyMade } from "./methods";
import { createState, type State } from "./state";
import { readTraits } from "./traits";

/** A plain value as a Python literal. JSON's texts are Python's too, and stay on one line. */
export function literal(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object")
    return `{${Object.entries(value)
      .map(([name, item]) => `${literal(name)}: ${literal(item)}`)
      .join(", ")}}`;
  return JSON.stringify(value);
}

/** Code for a session in which the explanation is called `e`. */
export function pythonOf(s: State): string {
  const state = Object.entries(stateOf(s)).map(([name, value]) => `    ${literal(name)}: ${literal(value)},\n`);
  return `import dexar_widgets as dx

# e = w.explanation, or dx.read("explanation.safetensors")
# The answer: ${literal(s.e.header.answer)}
# The map of ${wordsOf(shownSide(s)).replace(/\s+/g, " ")}, as it is shown:
${mapCode(s)}

# The same view:
w = dx.Explorer.from_state(e, {
${state.join("")}})
`;
}

function mapCode(s: State): string {
  const { chosen, method } = s.shown.value;
  const ready = readyMade(s.e, method);
  if (!ready) return method === "attention" ? attention(s) : dexar(s);
  const steps = chosen.map((entry) => s.e.header.steps[entry]!);
  const call = chosen.length && !ready.whole ? `heatmap(${literal(steps)})` : "sequence_map()";
  return `heat = e.attributions[${literal(method)}].${call}\nvalues = heat.values`;
}

function dexar(s: State): string {
  const { header } = s.e;
  const { options: o, chosen } = s.shown.value;
  const heads = headsOf(shownSide(s));
  if (heads?.length === 0) return "# no head is chosen: it is zero everywhere";
  const preset = header.presets[o.preset]!;
  const [first, last] = layersOf(shownSide(s));
  const given: [string, string, boolean][] = [
    ["layers", first === last ? `[${first}]` : `slice(${first}, ${last + 1})`, `${o.layers}` !== `${preset.layers}`],
    ["heads", literal(heads), heads !== null],
    ["head_filter", literal(o.headFilter), o.headFilter !== "max"],
    ["filler_filter", literal(o.fillerFilter), o.fillerFilter !== "max"],
    ["relu", "False", !o.relu],
    ["text_set", literal(o.textSet), o.textSet !== preset.textSet],
    ["preset", literal(o.preset), true],
  ];
  const steps = chosen.map((entry) => header.steps[entry]);
  const options = given.flatMap(([name, value, say]) => (say ? `${name}=${value}` : []));
  return `heat = e.${chosen.length ? "heatmap" : "sequence_map"}(${[...(chosen.length ? [literal(steps)] : []), ...options].join(", ")})
values = heat.values`;
}

/** Attention: mean over heads and the chosen layers, summed over the steps. */
function attention(s: State): string {
  const [from, to] = s.options.value.layers;
  const { rows, cols } = s.e.header.grid;
  return `rows = e.attention[${literal([...s.steps.value])}][:, ${from}:${to + 1}].mean((1, 2)).sum(0)
values = rows[e.layout.tokens_of(0)].reshape(${rows}, ${cols})`;
}

/** What `from_state` takes: what depends on the answer, and what differs from a fresh view. */
function stateOf(s: State): Record<string, unknown> {
  const fresh = createState(s.sources, s.host);
  const before = writtenView(fresh);
  fresh.end();
  const always = ["steps", "layers", "text_set", "preset"];
  return Object.fromEntries(
    Object.entries(writtenView(s)).filter(
      ([name, value]) => always.includes(name) || literal(value) !== literal(before[name]),
    ),
  );
}

/** As code has it: `steps` alone, and a named region by its outline. */
function writtenView(s: State): Record<string, unknown> {
  const { step: _first, display, ...view } = readTraits(s);
  const { tab: _open, ...look } = display;
  const named = s.e.header.regions.find(({ name }) => name === view.selection);
  return { ...view, selection: named ? named.outline : view.selection, display: look };
}
