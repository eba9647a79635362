/** A word's top cells against chance: how its probability falls while they are hidden, own order against random ones. */

import { computed, signal } from "@preact/signals-core";
import { asTable, button, el, fill, hint, row, svg, watch } from "../dom";
import { optionsOf, shownSide, wordsOf } from "../facts";
import { nats, number, percent } from "../format";
import { readyMade, titleOf } from "../methods";
import { type Deletion, rarity, resultOf, resultsOf } from "../results";
import type { State } from "../state";
import { across, between, key, type Line, plot, pointsOf } from "./chart";
import { type Filler, fillerChoice, fillerName, wordButton, wordsAmong } from "./checks";
import { measuring } from "./measure";

const HEIGHT = 150;

/** The map in view, and whose it is, by the names of Python's traits; the whole answer's has no steps. */
function aboutOf(s: State): { steps: number[] } & Record<string, unknown> {
  const { method } = s.shown.value;
  const entries = readyMade(s.e, method)?.whole ? [] : s.shown.value.chosen;
  const steps = entries.map((entry) => s.e.header.steps[entry]!).sort((a, b) => a - b);
  return { steps, method, ...optionsOf(shownSide(s)) };
}

/** What the words in view are called. */
const nameOf = (s: State, { steps }: { steps: number[] }): string =>
  steps.length ? wordsOf(shownSide(s)) : "the whole answer";

export function topCells(s: State): HTMLElement {
  const how = signal<Filler>("mean");
  const about = computed(() => aboutOf(s));
  const now = computed(() => resultOf(s.results.value, "deletion", about.value));
  const isTestable = () => s.shown.value.method === "dexar" || !!readyMade(s.e, s.shown.value.method);
  const test = {
    kind: "deletion" as const,
    name: "Test of the top cells",
    label: () => `Test ${about.value.steps.length ? "this word’s" : "the whole answer’s"} top cells`,
    content: () => {
      const { steps, ...view } = about.value;
      return { steps, view, how: how.value };
    },
    idle: () => (isTestable() ? "" : "Choose DEX-AR or another method’s map: this one is made of attention here."),
    ready: isTestable,
  };
  const live = el("div", {}, measuring(s, test, fillerChoice(how)));
  const found = el("div");
  fill(
    found,
    () => now.value,
    (it) => (it ? figure(s, it) : []),
  );
  const before = el("p", { class: "hint row" });
  watch(() => {
    live.hidden = !s.host.model.value;
    before.hidden = !live.hidden || !!now.value;
    if (!before.hidden) before.replaceChildren("Tested before this copy was made:", ...tested(s));
  });
  const title = el("h2", {}, "Top cells against chance");
  const all = el("section", {}, title, hint(EXPLAINED), live, before, found);
  watch(() => {
    all.hidden = !s.host.model.value && !resultsOf(s.results.value, "deletion").length;
  });
  return all;
}

const EXPLAINED =
  "A map that finds what a word needs makes it improbable as soon as its largest cells are hidden; cells in random order show what any hole does.";

/** A button for each word that was tested. */
function tested(s: State): HTMLElement[] {
  const steps = resultsOf(s.results.value, "deletion").map(({ about }) => about.steps);
  const whole = steps.some((some) => !some.length);
  const words = wordsAmong(s, steps.flat());
  const all = button("Whole answer", () => {
    s.chosen.value = [];
  });
  return [...words.map((word) => wordButton(s, word)), ...(whole ? [all] : [])];
}

/** Steps and settings of the curve are those in view. */
function figure(s: State, it: Deletion): Node[] {
  const name = nameOf(s, it.about);
  if (it.status !== "ok") return [hint(`The map of ${name} is ${it.status}: it has no top cells to hide.`)];
  const said = inWords(s, it, name);
  const legend = key("The map’s largest first", "Random order, mean and 95 %", "log-probability");
  if (!it.randoms) legend.children[1]!.remove();
  return [el("figure", {}, legend, curve(it, said)), hint(said), table(it)];
}

function curve(it: Deletion, words: string): SVGElement {
  const own = it.own as number[];
  const most = it.fractions.at(-1)!;
  const x = {
    at: (i: number) => across(it.fractions[i]! / most),
    name: (i: number) => `${percent(it.fractions[i]!)} of the cells hidden`,
    labels: [0, 0.5, 1].map((share): [number, string] => [across(share) - 8 * share, percent(share * most)]),
  };
  const all = it.randoms ? [...own, ...it.mean, ...it.low, ...it.high] : own;
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const y = between(HEIGHT, [low, (low + high) / 2, high], tick);
  const band = svg("polygon", {
    class: "chance",
    points: [...pointsOf(x, y, it.low), ...pointsOf(x, y, it.high).reverse()].join(" "),
  });
  const lines: Line[] = [{ values: own, kind: "visual", y, say: nats }];
  if (it.randoms) lines.push({ values: it.mean, kind: "text", y, say: nats });
  return plot(HEIGHT, x, lines, words, it.randoms ? band : undefined);
}

/** Short enough to stand beside the chart. */
const tick = (value: number): string => (Math.abs(value) < 0.005 ? "0" : number(value));

function inWords(s: State, it: Deletion, name: string): string {
  const title = titleOf(s.e, s.shown.value.method);
  const start = `Hiding ${title}’s largest cells first, with ${fillerName(it.how)}, costs ${name} ${nats(it.lost ?? Number.NaN)} nats on average up to ${percent(it.fractions.at(-1)!)} of the cells`;
  if (!it.randoms) return `${start}.`;
  const ties = it.ties ? ` (${percent(it.ties)} of these were drawn from cells of equal value)` : "";
  const random = `${start}${ties}; in random order ${nats(it.chance ?? Number.NaN)}`;
  if (it.verdict === "no effect")
    return `${random}. Neither changes it by more than 0.05 nats: it does not depend on what was hidden.`;
  return `${random}, and ${rarity(it.p ?? 1, it.randoms, "random orders")}: ${VERDICTS[it.verdict]}.`;
}

const VERDICTS: Record<string, string> = {
  "above chance": "the map finds cells that it needs",
  "at chance": "the map finds them no better than chance",
  "below chance": "what it needs lies elsewhere",
  "too few random orders": "too few to tell",
};

const table = ({ fractions, own, mean, low, high, randoms }: Deletion): HTMLElement =>
  asTable(
    ["Cells hidden", "Largest first", ...(randoms ? ["Random order", "95 % of them"] : [])],
    fractions.map((share, i) =>
      row(percent(share), nats(own[i]!), ...(randoms ? [nats(mean[i]!), `${nats(low[i]!)} to ${nats(high[i]!)}`] : [])),
    ),
  );
