/** Which heads and which words count, with live counts and each option explained. */

import { bind, type Control, checkbox, el, newId, segmented, sentence, slider, watch } from "../dom";
import { type Options, presetOptions } from "../filters";
import { listed, plural } from "../format";
import { needed } from "../maps";
import { applyPreset, nameOf, type State } from "../state";
import type { Level, Preset } from "../wire";

export function filtersPanel(s: State): HTMLElement {
  return el(
    "section",
    { class: "filters", "aria-label": "Filters" },
    el("div", { class: "head" }, el("h2", {}, "Filters"), counts(s)),
    presetOption(s),
    levelOption(s, "headFilter"),
    levelOption(s, "fillerFilter"),
    textOption(s),
    signOption(s),
  );
}

/** Why a choice cannot be had, beside what is chosen; empty if it can. */
export function obstacle(s: State, change: Partial<Options>): string {
  s.e.revision.value;
  const missing = needed(s.e, s.steps.value, { ...s.options.value, ...change }, "dexar");
  if (missing)
    return missing.length && !s.host.connected.value ? "not in this copy; a notebook with its kernel has it" : "";
  return s.e.header.keep === "summary"
    ? 'only sums over heads were kept; explain again with keep="visual"'
    : "too many words at once; choose fewer";
}

/** Greys out the choices of a control that cannot be had, and says why. */
function limits(s: State, control: HTMLElement, change: (value: string) => Partial<Options>): HTMLElement {
  const line = el("p", { class: "hint" });
  watch(() => {
    const reasons = new Map<string, string[]>();
    for (const choice of control.querySelectorAll<HTMLInputElement | HTMLOptionElement>("[type=radio], option")) {
      const why = obstacle(s, change(choice.value));
      const name = choice.textContent || choice.parentElement!.textContent!;
      choice.disabled = why !== "";
      if (why) reasons.set(why, [...(reasons.get(why) ?? []), name]);
    }
    line.textContent = [...reasons].map(([why, names]) => `${listed(names)}: ${why}.`).join(" ");
    line.hidden = !reasons.size;
  });
  return line;
}

/** A control with its name before it; its sentence, equation and limits under it. */
function option(name: string, ...parts: HTMLElement[]): HTMLElement {
  return el("div", { class: "option" }, el("h3", {}, name), el("div", {}, ...parts));
}

/** Plain text, then a symbol and its index, and so on. */
function equation(...parts: string[]): HTMLElement {
  const tags = ["span", "i", "sub"] as const;
  return el("p", { class: "equation" }, ...parts.map((part, i) => el(tags[i % 3]!, {}, part)));
}

function countText(s: State): string {
  const { kept, heads, silenced, words } = s.counts.value;
  const steps = s.steps.value.length;
  const each = kept / steps;
  const all = heads / steps;
  const average = steps > 1 && s.options.value.headFilter !== "none";
  const shown = average && !Number.isInteger(each) ? each.toFixed(1) : String(Math.round(each));
  return `${average ? "on average " : ""}${shown} of ${plural(all, "head")} kept, ${silenced} of ${plural(words, "word")} silenced`;
}

export function counts(s: State): HTMLElement {
  const line = el("output", { class: "figure counts", role: "status" });
  watch(() => {
    line.textContent = countText(s);
    const { kept, heads, silenced, words } = s.counts.value;
    Object.assign(line.dataset, { kept, heads, silenced, words });
  });
  return line;
}

function presetOption(s: State): HTMLElement {
  const { presets } = s.e.header;
  const known = (Object.keys(presets) as Preset[]).map((value) => ({
    value,
    label: { paper: "Paper", released: "Released code" }[value],
  }));
  const control = segmented("Preset", known, { get: () => s.preset.value, set: (preset) => applyPreset(s, preset) });
  const said = sentence(() =>
    s.preset.value === "paper"
      ? "As in the paper: every layer; each word’s map is scaled 0–1 before the words are weighted and summed."
      : "As in the authors’ code: the last ten layers, the last one normed twice; maps are summed unscaled; the first text token after the image is left out.",
  );
  const change = (value: string) => presetOptions(s.e, value as Preset)!;
  return option("Preset", control, said, presetEquation(s), limits(s, control, change));
}

/** Equation 6, with the words' own scaling or without. */
function presetEquation(s: State): HTMLElement {
  const formula = equation("E = minmax(Σ ", "ω", "t", " minmax(", "E", "t", "))");
  const [scaled, end] = [formula.children[3]!, formula.children[6]!];
  watch(() => {
    const paper = s.preset.value === "paper";
    scaled.textContent = paper ? " minmax(" : " ";
    end.textContent = paper ? "))" : ")";
  });
  return formula;
}

type Which = "headFilter" | "fillerFilter";

/** None, max, or the mean of a top share, the share on a slider. */
function levelOption(s: State, which: Which): HTMLElement {
  const ofHeads = which === "headFilter";
  const chosen = s[which];
  const shares = s.e.header.levels.filter((known) => known !== "max");
  const can = (share: Level) => !obstacle(s, { [which]: share });
  let share: Level = shares[1] ?? "avg";
  const some = () => (can(share) ? share : (shares.find(can) ?? share));
  const buttons = segmented(ofHeads ? "Head filter" : "Filler filter", LEVEL_KINDS, {
    get: () => (isShare(chosen.value) ? "share" : String(chosen.value)),
    set: (value) => {
      chosen.value = value === "share" ? some() : (value as Level);
    },
  });
  const amount = shareSlider(shares, {
    get: () => (isShare(chosen.value) ? chosen.value : share),
    set: (value) => {
      share = value;
      chosen.value = some();
    },
  });
  const on = ofHeads
    ? equation("δ = max(0, ", "s", "image", " − ", "s", "text", ")")
    : equation("ω = max(0, max ", "s", "image", " − max ", "s", "text", ")");
  const off = equation(ofHeads ? "δ = 1" : "ω = 1");
  watch(() => {
    amount.hidden = !isShare(chosen.value);
    off.hidden = chosen.value !== "none";
    on.hidden = !off.hidden;
  });
  return option(
    ofHeads ? "Heads" : "Filler words",
    el("div", { class: "row" }, buttons, amount),
    ofHeads ? headSentence(s) : fillerSentence(s),
    on,
    off,
    limits(s, buttons, (value) => ({ [which]: value === "share" ? some() : value })),
  );
}

const LEVEL_KINDS = [
  { value: "none", label: "Off" },
  { value: "max", label: "Max", title: "Compare the largest gradients" },
  { value: "share", label: "Top share", title: "Compare the means of the largest gradients" },
];

const isShare = (level: Level): boolean => level !== "none" && level !== "max";

const shareSlider = (shares: Level[], control: Control<Level>): HTMLElement =>
  slider(
    "Share",
    { min: 0, max: shares.length - 1, step: 1 },
    { get: () => placeOf(control.get(), shares), set: (at) => control.set(shares[at]!) },
    () => (control.get() === "avg" ? "all" : `${+(100 * Number(control.get())).toPrecision(3)} %`),
  );

/** Where a share lies among those offered: the last that is not larger, for Python can set any. */
const placeOf = (share: Level, shares: Level[]): number =>
  Math.max(0, shares.indexOf(share), shares.filter((known) => Number(known) <= Number(share)).length - 1);

const compared = (level: Level): string =>
  level === "max"
    ? "its largest gradient"
    : `the ${nameOf(level)}${level === "avg" ? " gradients" : " of its gradients"}`;

const headSentence = (s: State) =>
  sentence(() =>
    s.headFilter.value === "none"
      ? "Off: every head of the chosen layers adds its map, whatever it reads."
      : `A head counts by how much more it reads from the image than from the text (${compared(s.headFilter.value)} on each).`,
  );

const fillerSentence = (s: State) =>
  sentence(() =>
    s.fillerFilter.value === "none"
      ? "Off: every word counts the same in the whole answer’s map."
      : `A word counts by how far its strongest image reading exceeds its strongest text reading (${compared(s.fillerFilter.value)}); “a”, “and” should get none.`,
  );

const SETS: Record<string, [string, string]> = {
  all: [
    "Everything",
    "Text means every token that is no image token: template, special tokens, question and answer so far.",
  ],
  no_special: [
    "No special tokens",
    "Text without control tokens such as <s>, which many heads use as a resting place.",
  ],
  content: [
    "Question and answer",
    "Text means the question’s own words and the answer so far; the template’s words do not count.",
  ],
  answer: [
    "Answer only",
    "Text means only the answer so far: whatever the model reads from the question is not held against the image.",
  ],
  released: ["As released", "Every text token but the first after the image, as in the authors’ code."],
};

function textOption(s: State): HTMLElement {
  const id = newId("text");
  const box = el(
    "select",
    { id, "aria-label": "Which text the image is compared with" },
    ...s.e.header.textSets.map((value) => el("option", { value }, SETS[value]?.[0] ?? value)),
  );
  box.addEventListener("change", () => {
    s.textSet.value = box.value;
  });
  watch(() => {
    box.value = s.textSet.value;
  });
  return option(
    "Text",
    box,
    sentence(() => SETS[s.textSet.value]?.[1] ?? ""),
    equation("", "s", "text", " = max ", "G⁺", "j", " over the text tokens j"),
    limits(s, box, (textSet) => ({ textSet })),
  );
}

function signOption(s: State): HTMLElement {
  const control = checkbox("Positive gradients only", bind(s.relu));
  const box = control.querySelector("input")!;
  const reason = () => (s.relu.value ? obstacle(s, { relu: false }) : "");
  watch(() => {
    box.disabled = reason() !== "";
  });
  return option(
    "Sign",
    control,
    sentence(() =>
      s.relu.value
        ? "The map shows where more attention would raise the word’s logit; what would lower it is left out."
        : "The map also shows, in blue, where more attention would lower the word’s logit; filters stay on positive gradients.",
    ),
    equation("", "G", "", "⁺ = max(0, ", "G", "", ")"),
    sentence(() => reason() && `Negative ones: ${reason()}.`),
  );
}
