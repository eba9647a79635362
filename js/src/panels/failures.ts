/** Where a map may mislead: register patches, silenced words, words that come from elsewhere; and notes on them. */

import { signal } from "@preact/signals-core";
import { bind, button, el, fill, segmented, watch } from "../dom";
import { save } from "../download";
import { number } from "../format";
import { bring, type Check } from "../host";
import { type CellMap, mapOf, needed } from "../maps";
import type { Method } from "../methods";
import { quote } from "../numbers";
import { energyInside, NATS, originOf, pointsAt, TIMES } from "../region";
import { entriesOf, explainedWords, type Note, type State, wordAt, wordWeight } from "../state";
import type { Word } from "../wire";
import { insideShares, shareText } from "./draw";
import { choose, verdict } from "./words";

/** What a note can say; the keys 1–5 in this order. */
export const TAGS = ["ok", "register", "spurious", "silenced", "other"];

export function failuresPanel(s: State): HTMLElement {
  return el("div", { class: "failures" }, registers(s), silenced(s), spurious(s), notes(s));
}

const part = (title: string, ...nodes: Node[]): HTMLElement => el("section", {}, el("h2", {}, title), ...nodes);
const hint = (text: string): HTMLElement => el("p", { class: "hint" }, text);

const wordButton = (s: State, word: Word): HTMLElement =>
  button(word.text.trim() || "␣", () => choose(s, word, "only"));

function tableOf(heads: string[], body: HTMLElement): HTMLElement {
  const names = heads.map((head) => el("th", { scope: "col" }, head));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...names)), body));
}

const row = (head: Node | string, ...cells: string[]): HTMLElement =>
  el("tr", {}, el("th", { scope: "row" }, head), ...cells.map((text) => el("td", {}, text)));

function registers(s: State): HTMLElement {
  const { cells, text } = s.e.header.outliers;
  const title = "Register patches";
  if (!cells.length) return part(title, hint(text));
  const only = Float64Array.from({ length: s.e.size.cells }, (_, cell) => Number(cells.includes(cell)));
  const body = el("tbody");
  watch(() => {
    const shares: [string, number][] = [
      ["cells", cells.length / only.length],
      ["attention", massOf(s, "attention", only)],
      ["DEX-AR map", massOf(s, "dexar", only)],
    ];
    body.replaceChildren(...shares.map(([name, share]) => row(name, shareText(share))));
  });
  return part(
    title,
    hint(
      `${text} Dotted on the image while this tab is open. A register takes more of the attention than of the cells, and the map should leave it out.`,
    ),
    tableOf(["Of the", "Share"], body),
  );
}

/** Share of what is in view that lies in some cells; NaN where it was not kept. */
function massOf(s: State, method: Method, only: CellMap): number {
  const { options, chosen } = s.shown.value;
  const missing = needed(s.e, s.steps.value, options, method);
  bring(s.host, s.e, missing);
  return missing?.length === 0 ? energyInside(mapOf(s.e, chosen, options, method), only) : Number.NaN;
}

function silenced(s: State): HTMLElement {
  const list = el("ul");
  const none = hint("None: the image drives every word somewhere.");
  watch(() => {
    const words = explainedWords(s.e).filter((word) => wordWeight(s.e, s.shades.value, word) === 0);
    list.replaceChildren(
      ...words.map((word) => el("li", {}, wordButton(s, word), ` ${verdict(s, entriesOf(s.e, word))}`)),
    );
    none.hidden = words.length > 0;
  });
  return part("Silenced words", none, list);
}

function spurious(s: State): HTMLElement {
  const none = hint("Draw a box or a lasso on the image: each word’s energy inside, and what hiding it does.");
  const found = el(
    "div",
    {},
    sharesTable(s),
    checkControls(s),
    hint(
      `The map points to the side whose cells have ${TIMES} times the energy of the other’s. A word needs what costs it ${NATS} nat or more when hidden: it becomes 2.7 times less likely.`,
    ),
  );
  watch(() => {
    found.hidden = !s.coverage.value;
    none.hidden = !found.hidden;
  });
  return part("Does the word come from here?", none, found);
}

/** The checks of the region that is drawn now. */
function checksNow(s: State): readonly Check[] {
  const { region, checks } = s.checked.value ?? { region: null, checks: [] };
  return JSON.stringify(region) === JSON.stringify(s.region.value) ? checks : [];
}

const COLUMNS = ["Word", "Inside", "Outside", "Inside ÷ area", "Nats lost without", "Without the rest", "The word …"];

function sharesTable(s: State): HTMLElement {
  const body = el("tbody");
  watch(() => {
    const { area, words } = insideShares(s);
    const checks = checksNow(s);
    body.replaceChildren(
      ...words.map(([word, inside]) => {
        const check = checks.find(({ steps }) => word.steps.includes(steps[0]!));
        const cells = [
          shareText(inside),
          shareText(1 - inside),
          Number.isFinite(inside / area) ? number(inside / area) : "–",
        ];
        if (check)
          cells.push(
            nats(check.log_prob - check.hidden),
            nats(check.log_prob - check.kept),
            originOf(pointsAt(inside, area), check),
          );
        return row(wordButton(s, word), ...cells);
      }),
    );
  });
  const table = el("div");
  fill(
    table,
    () => checksNow(s).length > 0,
    (checked) => [tableOf([...COLUMNS.slice(0, checked ? 7 : 4)], body)],
  );
  return table;
}

const nats = (lost: number): string => (Math.round(100 * lost) / 100 + 0).toFixed(2).replace("-", "−"); // + 0: no −0

function checkControls(s: State): HTMLElement {
  const how = signal<"mean" | "blur">("mean");
  const go = button("Hide it and ask again", () => {
    const region = s.region.value!;
    const words = explainedWords(s.e).map((word) => word.steps.filter((step) => s.e.entryOf.has(step)));
    s.host.check(words, region, how.value).then(
      (checks) => {
        s.checked.value = { region, checks };
      },
      () => {}, // said in `problem`
    );
  });
  const stop = button("Stop", () => s.host.cancel());
  const bar = el("progress", { "aria-label": "Check" });
  const said = el("p", { class: "hint", role: "status" });
  watch(() => {
    const job = s.host.job.value;
    const running = job?.kind === "check";
    bar.hidden = stop.hidden = !running;
    bar.max = job?.total || 1;
    bar.value = job?.done ?? 0;
    go.disabled = !s.host.model.value || job !== null;
    said.textContent = running ? job.text : s.host.model.value ? "" : withoutModel(s);
  });
  const fillers = segmented(
    "Hide with",
    [
      { value: "mean", label: "Mean colour" },
      { value: "blur", label: "Blur" },
    ],
    bind(how),
  );
  return el("div", {}, el("div", { class: "row" }, go, fillers, bar, stop), said);
}

function withoutModel(s: State): string {
  const word = JSON.stringify(wordAt(s.e, s.chosen.value[0] ?? 0)!.text.trim());
  return `No model stands behind this view. In Python: dx.check(e, step=${word}, region=${JSON.stringify(s.region.value)})`;
}

/** Note something on the chosen words, or on the whole answer; one note each. */
export function tag(s: State, which: number): void {
  const words = s.e.header.words.filter((word) => entriesOf(s.e, word).some((entry) => s.chosen.value.includes(entry)));
  const steps = s.chosen.value.map((entry) => s.e.header.steps[entry]!);
  const note: Note = { steps, word: words.map(({ text }) => text.trim()).join(" "), tag: TAGS[which]!, text: "" };
  s.notes.value = [...s.notes.value.filter((other) => !same(other, note)), note];
  s.tab.value = "Failures";
}

const same = (a: Note, b: Note): boolean => String(a.steps) === String(b.steps);

function notes(s: State): HTMLElement {
  const tags = TAGS.map((name, i) => {
    const node = button(`${name} `, () => tag(s, i));
    node.append(el("kbd", {}, String(i + 1)));
    return node;
  });
  const list = el("ul");
  watch(() => list.replaceChildren(...s.notes.value.map((note) => noteItem(s, note))));
  const file = button("Save as CSV", () => save("notes.csv", notesCsv(s), "text/csv"));
  watch(() => {
    file.hidden = !s.notes.value.length;
  });
  return part(
    "Notes",
    hint("On the chosen words, or the whole answer: one key each."),
    el("div", { class: "row" }, ...tags),
    list,
    file,
  );
}

function noteItem(s: State, note: Note): HTMLElement {
  const remove = button("Remove", () => {
    s.notes.value = s.notes.value.filter((other) => other !== note);
  });
  return el("li", { class: "row" }, el("b", {}, note.word || "whole answer"), note.tag, remove);
}

/** The notes, each with the question and answer it is about. */
export function notesCsv(s: State): string {
  const { prompt, answer, provenance } = s.e.header;
  const rows = s.notes.value.map((note) => [
    note.word,
    note.steps.join(" "),
    note.tag,
    note.text,
    prompt,
    answer,
    provenance.model ?? "",
  ]);
  const lines = [["word", "steps", "tag", "remark", "prompt", "answer", "model"], ...rows];
  return `${lines.map((cells) => cells.map(quote).join(",")).join("\r\n")}\r\n`;
}
