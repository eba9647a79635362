/** The answer: words shaded by visual weight, chosen by click and key, and why some are silenced. */

import { button, el, setAll, watch } from "../dom";
import { headsElsewhere, reason } from "../filters";
import { listed, number, percent, piece, quoted } from "../format";
import { entriesOf, explainedWords, nameOf, type State, wordAt, wordWeight } from "../state";
import type { Word } from "../wire";

type How = "only" | "run" | "toggle";

export function wordsPanel(s: State): HTMLElement {
  const act = () => {
    s.chosen.value = [];
  };
  const whole = button("Whole answer", act, { class: "whole" });
  watch(() => setAll(whole, { "aria-pressed": String(s.chosen.value.length === 0) }));
  return el(
    "section",
    { class: "panel words", "aria-label": "Answer" },
    el("p", { class: "question" }, el("span", { class: "tag" }, "Asked"), s.e.header.question),
    el("div", { class: "answer" }, el("span", { class: "tag" }, "Answered"), wordList(s)),
    el("div", { class: "row" }, whole, reasonLine(s)),
    el(
      "p",
      { class: "hint" },
      "The deeper a word’s shade, the more the image rather than the text drove it. Click a word for its map, " +
        "shift-click for a run, ctrl-click (⌘ on a Mac) to add or take away one; dotted words were silenced. A word of several tokens opens: click a part, or ↓ ↑.",
    ),
  );
}

function wordList(s: State): HTMLElement {
  const { words, answer } = s.e.header;
  const list = el("div", {
    class: "wordlist",
    role: "listbox",
    "aria-label": "Words of the answer",
    "aria-multiselectable": "true",
  });
  const options = words.map((word) => wordOption(s, word));
  let cursor = 0;
  words.forEach((word, i) => {
    const text = word.text.trim();
    const at = answer.indexOf(text, cursor);
    list.append(at < 0 ? (i ? " " : "") : answer.slice(cursor, at), options[i]!);
    cursor = at < 0 ? cursor : at + text.length;
  });
  list.addEventListener("click", (event) => {
    const at = event.target as HTMLElement;
    const option = options.indexOf(at.closest<HTMLElement>(".word")!);
    if (option < 0) return;
    if (at.dataset.entry) choosePart(s, Number(at.dataset.entry), howOf(event));
    else choose(s, words[option]!, howOf(event));
    options[option]!.focus();
  });
  list.addEventListener("keydown", (event) => onKey(s, words[options.indexOf(event.target as HTMLElement)], event));
  watch(() => shade(s, options));
  watch(() => light(s, options));
  watch(() => select(s, options));
  return list;
}

const howOf = (event: MouseEvent | KeyboardEvent): How =>
  event.shiftKey ? "run" : event.ctrlKey || event.metaKey ? "toggle" : "only";

function onKey(s: State, word: Word | undefined, event: KeyboardEvent): void {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!word || (!by && event.key !== "Enter" && event.key !== " ")) return;
  event.preventDefault();
  if (by) movePart(s, word, by);
  else choose(s, word, howOf(event));
}

function wordOption(s: State, word: Word): HTMLElement {
  const entries = entriesOf(s.e, word);
  const option = el("span", { role: "option", class: "word", "aria-disabled": entries.length ? undefined : "true" });
  option.dataset.steps = word.steps.join(" ");
  option.append(word.text.trim() || "␣");
  return option;
}

/** Words by their visual weight; what is said of each is told on hover and to screen readers. */
function shade(s: State, options: HTMLElement[]): void {
  const shades = s.shades.value;
  const most = shades.reduce((a, b) => Math.max(a, b), Number.MIN_VALUE);
  s.e.header.words.forEach((word, i) => {
    const option = options[i]!;
    const entries = entriesOf(s.e, word);
    const weight = wordWeight(s.e, shades, word);
    const parts = entries.length > 1 ? `, ${entries.length} parts` : "";
    const said = entries.length ? (weight ? `visual weight ${number(weight)}` : "silenced") : "not explained";
    option.dataset.weight = String(weight);
    option.style.setProperty("--shade", (weight / most).toFixed(3));
    option.classList.toggle("silenced", entries.length > 0 && weight === 0);
    setAll(option, {
      title: `${said}, ${sure(s, word.steps)}${parts}`,
      "aria-label": `${word.text.trim()}, ${said}${parts}`,
    });
  });
}

/** Words by the share of their map that the picked cell has. */
function light(s: State, options: HTMLElement[]): void {
  const uses = s.lookup.value;
  const most = Math.max(Number.MIN_VALUE, ...[...(uses?.values() ?? [])].filter((share) => share > 0));
  s.e.header.words.forEach((word, i) => {
    const use = Math.max(0, uses?.get(word) || 0);
    options[i]!.style.setProperty("--use", String(use / most));
    setAll(options[i]!, { "aria-description": uses ? `${percent(use)} of its map in the picked cell` : undefined });
  });
}

/** Which words are chosen; one alone shows its parts. */
function select(s: State, options: HTMLElement[]): void {
  const chosen = new Set(s.chosen.value);
  let focus = -1;
  s.e.header.words.forEach((word, i) => {
    const option = options[i]!;
    const entries = entriesOf(s.e, word);
    const own = entries.filter((entry) => chosen.has(entry)).length;
    if (own && focus < 0) focus = i;
    setAll(option, { "aria-selected": String(own > 0), tabindex: -1 });
    const opened = own > 0 && own === chosen.size && entries.length > 1;
    if (opened)
      option.replaceChildren(...entries.map((entry) => part(s, entry, own < entries.length && chosen.has(entry))));
    else if (option.firstElementChild) option.replaceChildren(word.text.trim() || "␣");
  });
  if (options.length) options[Math.max(0, focus)]!.tabIndex = 0;
}

/** One of a word's tokens, within the word. */
function part(s: State, entry: number, alone: boolean): HTMLElement {
  const node = el("span", { class: alone ? "part chosen" : "part" }, pieceAt(s, entry));
  const weight = s.shades.value[entry]!;
  node.dataset.entry = String(entry);
  node.title = `${weight ? `visual weight ${number(weight)}` : "silenced"}, ${sure(s, [s.e.header.steps[entry]!])}`;
  return node;
}

const pieceAt = (s: State, entry: number): string => piece(s.e.header.pieces[s.e.header.steps[entry]!] ?? "");

/** How sure the model was of these tokens, one after the other. */
function sure(s: State, steps: readonly number[]): string {
  const sum = steps.reduce((sum, step) => sum + (s.e.header.logProbs[step] ?? Number.NaN), 0);
  return Number.isNaN(sum)
    ? "probability unknown"
    : `probability ${percent(Math.exp(sum))} (log ${number(Math.round(100 * sum) / 100)})`;
}

const isChosen = (s: State, word: Word): boolean =>
  entriesOf(s.e, word).some((entry) => s.chosen.value.includes(entry));

/** The word that a run grows from; the last one chosen by itself. */
const anchors = new WeakMap<State, Word>();

export function choose(s: State, word: Word, how: How): void {
  const entries = entriesOf(s.e, word);
  if (!entries.length) return;
  if (how === "run") {
    const words = s.e.header.words;
    const ends = [words.indexOf(anchors.get(s) ?? word), words.indexOf(word)].sort((a, b) => a - b);
    s.chosen.value = words.slice(ends[0], ends[1]! + 1).flatMap((each) => entriesOf(s.e, each));
    return;
  }
  anchors.set(s, word);
  if (how === "only") s.chosen.value = entries;
  else toggle(s, entries, isChosen(s, word));
}

function toggle(s: State, entries: readonly number[], off: boolean): void {
  const others = s.chosen.value.filter((entry) => !entries.includes(entry));
  s.chosen.value = off ? others : [...others, ...entries].sort((a, b) => a - b);
}

/** One token of a word; chosen again, its whole word. */
function choosePart(s: State, entry: number, how: How): void {
  const alone = s.chosen.value.length === 1 && s.chosen.value[0] === entry;
  if (how === "run" || (alone && how === "only")) choose(s, wordAt(s.e, entry)!, how);
  else if (how === "toggle") toggle(s, [entry], s.chosen.value.includes(entry));
  else s.chosen.value = [entry];
}

/** From a word to its first part, on to the next, and back. */
function movePart(s: State, word: Word, by: number): void {
  const entries = entriesOf(s.e, word);
  const now = s.chosen.value.length === 1 && entries.length > 1 ? entries.indexOf(s.chosen.value[0]!) : -1;
  const next = entries[Math.min(entries.length - 1, now + by)];
  if (next !== undefined && entries.length > 1) s.chosen.value = [next];
  else choose(s, word, "only");
}

/** The neighbouring word; the end of a run where it is extended. */
export function moveWord(s: State, by: 1 | -1, extend: boolean): void {
  const words = explainedWords(s.e);
  const chosen = words.filter((word) => isChosen(s, word));
  const anchor = anchors.get(s);
  const forward = !anchor || chosen[0] === anchor;
  const from = chosen.length ? words.indexOf((forward ? chosen.at(-1) : chosen[0])!) : by > 0 ? -1 : words.length;
  const next = words[Math.max(0, Math.min(words.length - 1, from + by))];
  if (next) choose(s, next, extend && chosen.length ? "run" : "only");
}

function reasonLine(s: State): HTMLElement {
  const line = el("p", { class: "reason", role: "status" });
  watch(() => {
    line.textContent = s.chosen.value.length ? aboutChosen(s) : aboutAnswer(s);
  });
  return line;
}

function aboutAnswer(s: State): string {
  if (s.fillerFilter.value === "none") return "No filler filter: every word counts the same in the whole answer’s map.";
  const silenced = explainedWords(s.e).filter((word) => wordWeight(s.e, s.weights.value, word) === 0);
  if (!silenced.length) return "No word is silenced: each one reads more from the image than from the text somewhere.";
  const names = listed([...new Set(silenced.map((word) => quoted(word.text)))], 8);
  return `Silenced, as the text won: ${names}. Choose one to see which text.`;
}

function aboutChosen(s: State): string {
  const chosen = s.chosen.value;
  const words = s.e.header.words.filter((word) => isChosen(s, word));
  if (words.length > 1)
    return `${listed(words.map((word) => quoted(word.text)))}: their maps are summed as they are, unweighted.`;
  const whole = chosen.length === entriesOf(s.e, words[0]!).length;
  const parts = whole ? "" : `${chosen.map((entry) => quoted(pieceAt(s, entry))).join(", ")} of `;
  const likely = sure(s, whole ? words[0]!.steps : chosen.map((entry) => s.e.header.steps[entry]!));
  const own = chosen.some((entry) => s.shades.value[entry]) ? "" : " This one is its own.";
  return `${parts}${quoted(words[0]!.text)} ${verdict(s, chosen)}${own} It had ${likely}.`;
}

/** What a word reads, where, and whether the image or the text wins. */
export function verdict(s: State, entries: readonly number[]): string {
  const entry = entries.reduce((a, b) => (s.shades.value[b]! > s.shades.value[a]! ? b : a));
  const o = s.options.value;
  if (headsElsewhere(s.e, o)) return "has no weight: none of the chosen heads is in these layers.";
  const why = reason(s.e, entry, o);
  const at = (peak: { layer: number; head: number }) => `layer ${s.e.header.layers[peak.layer]}, head ${peak.head}`;
  const token = s.e.header.tokens[why.token];
  const source = token ? ` on ${quoted(piece(token[0]))}` : "";
  const how = o.fillerFilter === "max" || o.fillerFilter === "none" ? "" : ` (${nameOf(o.fillerFilter)})`;
  const text =
    why.token < 0 ? "there is no text to compare with" : `text ${number(why.text.value)} at ${at(why.text)}${source}`;
  const image = `image ${number(why.visual.value)} at ${at(why.visual)}`;
  const weight = why.visual.value - why.text.value;
  if (why.visual.value <= 0 && why.text.value <= 0) return "is silenced: neither image nor text raises it.";
  return weight > 0
    ? `has visual weight ${number(weight)}${how}: ${image}; ${text}.`
    : `is silenced, the text wins${how}: ${text}; ${image}. The whole answer’s map leaves it out.`;
}
