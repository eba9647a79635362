/** A region against the words: each word's energy inside, what hiding the region costs, and what chance would. */

import { computed, type Signal, signal } from "@preact/signals-core";
import { bind, button, el, fill, hint, row, segmented, sentence, tableOf, watch } from "../dom";
import { nats, number, quoted } from "../format";
import { mapOf, needed } from "../maps";
import { energyInside, NATS, originOf, pointsAt, sideOf, TIMES } from "../region";
import { type Check, type Checks, chanceText, pText, RARE, resultOf, same } from "../results";
import { entriesOf, explainedWords, type State, wordAt } from "../state";
import type { Word } from "../wire";
import { insideShares, shareText } from "./draw";
import { measuring } from "./measure";
import { choose } from "./words";

export type Filler = "mean" | "blur";

/** With what hidden pixels are filled. */
export const fillerChoice = (how: Signal<Filler>): HTMLElement =>
  segmented(
    "Hide with",
    [
      { value: "mean", label: "Mean colour" },
      { value: "blur", label: "Blur" },
    ],
    bind(how),
  );

export const fillerName = (how: string): string => (how === "mean" ? "the mean colour" : "a blur");

export const wordButton = (s: State, word: Word): HTMLElement =>
  button(word.text.trim() || "␣", () => choose(s, word, "only"));

/** True indices of a word's steps that were explained. */
const stepsOf = (s: State, word: Word): number[] => word.steps.filter((step) => s.e.entryOf.has(step));

export function regionChecks(s: State): HTMLElement {
  const none = hint("Draw a box or a lasso on the image: each word’s energy inside, and what hiding it does.");
  const now = computed(() => resultOf(s.results.value, "check", { region: s.region.value }) ?? null);
  const found = el(
    "div",
    {},
    sharesTable(s, () => now.value),
    sentence(() => beside(s, now.value)),
    controls(s),
    hint(
      `The map points to the side whose cells have ${TIMES} times the energy of the other’s. A word needs what costs it ${NATS} nat or more when hidden: it becomes 2.7 times less likely.`,
    ),
  );
  watch(() => {
    found.hidden = !s.coverage.value;
    none.hidden = !found.hidden;
  });
  return el("div", {}, none, found);
}

/** How a check was made, and what it says of the words in view. */
function beside(s: State, now: Checks | null): string {
  const first = now?.checks[0];
  if (!now || !first) return "";
  const chance = first.randoms
    ? ` By chance: the mean of ${first.randoms} random regions of the same size and shape, and between which 95 % of them lie; “?” marks a loss that is no rarer.`
    : "";
  const { words, area } = insideShares(s);
  const chosen = s.chosen.value.map((entry) => s.e.header.steps[entry]!);
  const steps = chosen.length ? chosen : s.e.header.steps;
  const check = now.checks.find((one) => same(one.steps, steps));
  const word = words.find(([word]) => same(stepsOf(s, word), steps));
  const inside = chosen.length ? (word?.[1] ?? Number.NaN) : answerInside(s);
  const name = chosen.length ? quoted(word?.[0].text ?? "") : "The whole answer";
  return `Hidden with ${fillerName(now.how)}.${chance}${check ? ` ${inWords(name, check, pointsAt(inside, area))}` : ""}`;
}

function inWords(name: string, check: Check, map: ReturnType<typeof pointsAt>): string {
  const { log_prob, hidden, kept, chance, low, high, kept_chance, kept_low, kept_high, kept_p } = check;
  const start = `${name} loses ${nats(log_prob - hidden)} nats without the region`;
  const rare = chanceText(check, "random regions");
  const random =
    chance === null
      ? ""
      : `, ${nats(chance)} (${nats(low!)} to ${nats(high!)}) without a random one${rare && `; ${rare}`}`;
  const p = kept_chance == null ? "" : pText(kept_p, log_prob - kept, kept_low!, kept_high!);
  const alone =
    kept_chance == null
      ? ""
      : ` (with a random region alone ${nats(kept_chance)}, ${nats(kept_low!)} to ${nats(kept_high!)}${p && `; p = ${p}`})`;
  const verdict = check.verdict ? ` Verdict: ${check.verdict}.` : "";
  return `${start}${random}. Without the rest it loses ${nats(log_prob - kept)}${alone}: it ${originOf(map, check)}.${verdict}`;
}

const SHARES = ["Word", "Inside", "Outside", "Inside ÷ area"];
const CHECKED = ["Word", "Comes from", "Nats lost without", "By chance", "p", "Without the rest", "Inside ÷ area"];

function sharesTable(s: State, now: () => Checks | null): HTMLElement {
  const body = el("tbody");
  watch(() => {
    const { area, words } = insideShares(s);
    const found = now();
    const whole = found?.checks.find(({ steps }) => same(steps, s.e.header.steps));
    const rows = words.map(([word, inside]) => {
      const check = found?.checks.find(({ steps }) => same(steps, stepsOf(s, word)));
      return row(wordButton(s, word), ...cells(inside, area, check, found !== null));
    });
    if (whole && words.length > 1) {
      const all = button("Whole answer", () => {
        s.chosen.value = [];
      });
      rows.push(row(all, ...cells(answerInside(s), area, whole, true)));
    }
    body.replaceChildren(...rows);
  });
  const table = el("div");
  fill(
    table,
    () => now() !== null,
    (checked) => [tableOf(checked ? CHECKED : SHARES, body)],
  );
  return table;
}

/** The share of the whole answer's own map; NaN where its numbers are not there. */
function answerInside(s: State): number {
  const { options, method } = s.shown.value;
  const entries = s.e.header.steps.map((_, entry) => entry);
  if (needed(s.e, entries, options, method)?.length !== 0) return Number.NaN;
  return energyInside(mapOf(s.e, [], options, method), s.coverage.value ?? []);
}

function cells(inside: number, area: number, check: Check | undefined, checked: boolean): string[] {
  const times = Number.isFinite(inside / area) ? number(inside / area) : "–";
  if (!checked) return [shareText(inside), shareText(1 - inside), times];
  if (!check) return ["–", "–", "–", "–", "–", times];
  const { log_prob, hidden, kept, chance, low, high, p } = check;
  const level = chance === null ? "–" : `${nats(chance)} (${nats(low!)} to ${nats(high!)})`;
  const from = sideOf(check);
  const where = p !== null && p > RARE && (from === "inside" || from === "both") ? `${from}?` : from;
  return [where, nats(log_prob - hidden), level, pText(p, log_prob - hidden) || "–", nats(log_prob - kept), times];
}

function controls(s: State): HTMLElement {
  const how = signal<Filler>("mean");
  const test = {
    kind: "check" as const,
    name: "Check",
    label: () => "Hide it and ask again",
    content: () => {
      const words = explainedWords(s.e).map((word) => stepsOf(s, word));
      const all = words.length > 1 ? [s.e.header.steps] : [];
      return { words: [...words, ...all], region: s.region.value, how: how.value };
    },
    idle: () => (s.host.model.value ? "" : withoutModel(s)),
  };
  return measuring(s, test, fillerChoice(how));
}

function withoutModel(s: State): string {
  const word = JSON.stringify(wordAt(s.e, s.chosen.value[0] ?? 0)!.text.trim());
  return `No model stands behind this view. In Python: dx.check(e, step=${word}, region=${JSON.stringify(s.region.value)})`;
}

/** Words of which some explained step is among these, by true indices. */
export const wordsAmong = (s: State, steps: readonly number[]): Word[] =>
  explainedWords(s.e).filter((word) => entriesOf(s.e, word).some((entry) => steps.includes(s.e.header.steps[entry]!)));
