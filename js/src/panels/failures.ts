/** Where a map may mislead: register patches, silenced words, words that come from elsewhere; and notes on them. */

import { button, el, hint, row, tableOf, watch } from "../dom";
import { save } from "../download";
import { plural } from "../format";
import { bring } from "../host";
import { type CellMap, mapOf, needed } from "../maps";
import type { Method } from "../methods";
import { quote } from "../numbers";
import { energyInside } from "../region";
import { type Finding, resultsOf } from "../results";
import { entriesOf, explainedWords, type Note, type State, wordWeight } from "../state";
import { regionChecks, wordButton } from "./checks";
import { topCells } from "./deletion";
import { shareText } from "./draw";
import { verdict } from "./words";

/** What a note can say; the keys 1–5 in this order. */
export const TAGS = ["ok", "register", "spurious", "silenced", "other"];

export function failuresPanel(s: State): HTMLElement {
  const spurious = part("Does the word come from here?", regionChecks(s));
  return el("div", { class: "failures" }, findings(s), registers(s), silenced(s), spurious, topCells(s), notes(s));
}

const part = (title: string, ...nodes: Node[]): HTMLElement => el("section", {}, el("h2", {}, title), ...nodes);
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

/** What failure-case tools found in Python, the latest first: their sentences, and what they mark. */
function findings(s: State): HTMLElement {
  const list = el("ul");
  const all = part("Found by the failure tools", list);
  watch(() => {
    const found = resultsOf(s.results.value, "finding");
    all.hidden = !found.length;
    list.replaceChildren(...found.map((one) => el("li", {}, el("p", {}, one.text), ...marks(s, one))));
  });
  return all;
}

function marks(s: State, { about, cells, regions, notes }: Finding): HTMLElement[] {
  const words = notes.map(({ steps, word, text }) =>
    button(
      word || "whole answer",
      () => {
        s.chosen.value = steps.flatMap((step) => s.e.entryOf.get(step) ?? []);
      },
      { title: text },
    ),
  );
  const places = regions.map(({ name, outline }) =>
    button(`Show ${name}`, () => {
      s.region.value = outline;
    }),
  );
  const dotted = cells.length
    ? [hint(`${plural(cells.length, "cell")} dotted on the image while this tab is open.`)]
    : [];
  return [el("div", { class: "row" }, el("span", { class: "tag" }, about.name), ...words, ...places, ...dotted)];
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
