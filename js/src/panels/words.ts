/** The answer: words shaded by visual weight, chosen by click and key, and why some are silenced. */

import { el, setAll, watch } from "../dom";
import { reason } from "../filters";
import { listed, number, piece, quoted } from "../format";
import { entriesOf, explainedWords, nameOf, type State, wordAt, wordWeight } from "../state";
import type { Word } from "../wire";

export function wordsPanel(s: State): HTMLElement {
  const whole = el("button", { type: "button", class: "whole" }, "Whole answer");
  whole.addEventListener("click", () => {
    s.chosen.value = [];
  });
  watch(() => setAll(whole, { "aria-pressed": String(s.chosen.value.length === 0) }));
  return el(
    "section",
    { class: "panel words", "aria-label": "Answer" },
    el("p", { class: "question" }, el("span", { class: "tag" }, "Asked"), s.e.header.prompt),
    el("div", { class: "answer" }, el("span", { class: "tag" }, "Answered"), wordList(s)),
    el("div", { class: "row" }, whole, pieceList(s), reasonLine(s)),
    el(
      "p",
      { class: "hint" },
      "The deeper a word’s shade, the more the image rather than the text drove it. Click a word for its map, " +
        "shift-click for a run, ctrl-click to add or take away one; dotted words were silenced.",
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
  watch(() => {
    const focus = words.findIndex((word) => isChosen(s, word));
    options.forEach((option, i) => {
      option.tabIndex = i === Math.max(0, focus) ? 0 : -1;
    });
  });
  return list;
}

function wordOption(s: State, word: Word): HTMLElement {
  const entries = entriesOf(s.e, word);
  const option = el(
    "span",
    { role: "option", class: "word", "aria-disabled": entries.length ? undefined : "true" },
    word.text.trim() || "␣",
  );
  option.dataset.steps = word.steps.join(" ");
  option.addEventListener("click", (event) => {
    choose(s, word, event.shiftKey ? "run" : event.ctrlKey || event.metaKey ? "toggle" : "only");
    option.focus();
  });
  option.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(s, word, event.shiftKey ? "run" : event.ctrlKey || event.metaKey ? "toggle" : "only");
  });
  watch(() => {
    const weight = wordWeight(s.e, s.shades.value, word);
    const share = weight / Math.max(...s.shades.value, Number.MIN_VALUE);
    const said = entries.length ? (weight ? `visual weight ${number(weight)}` : "silenced") : "not explained";
    option.dataset.weight = String(weight);
    option.style.setProperty("--shade", share.toFixed(3));
    option.classList.toggle("silenced", entries.length > 0 && weight === 0);
    setAll(option, {
      title: said,
      "aria-label": `${word.text.trim()}, ${said}`,
      "aria-selected": String(isChosen(s, word)),
    });
  });
  return option;
}

const isChosen = (s: State, word: Word): boolean =>
  entriesOf(s.e, word).some((entry) => s.chosen.value.includes(entry));

/** The word that a run grows from; the last one chosen by itself. */
const anchors = new WeakMap<State, Word>();

export function choose(s: State, word: Word, how: "only" | "run" | "toggle"): void {
  const entries = entriesOf(s.e, word);
  if (!entries.length) return;
  const now = s.chosen.value;
  if (how === "run") {
    const words = s.e.header.words;
    const ends = [words.indexOf(anchors.get(s) ?? word), words.indexOf(word)].sort((a, b) => a - b);
    s.chosen.value = words.slice(ends[0], ends[1]! + 1).flatMap((each) => entriesOf(s.e, each));
    return;
  }
  anchors.set(s, word);
  if (how === "only") s.chosen.value = entries;
  else if (isChosen(s, word)) s.chosen.value = now.filter((entry) => !entries.includes(entry));
  else s.chosen.value = [...now, ...entries].sort((a, b) => a - b);
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

/** A chosen word's sub-words, each with its own map. */
function pieceList(s: State): HTMLElement {
  const box = el("span", { class: "pieces", role: "group", "aria-label": "Parts of the word" });
  watch(() => {
    const word = s.chosen.value.length ? wordAt(s.e, s.chosen.value[0]!) : undefined;
    const entries = word ? entriesOf(s.e, word) : [];
    const within = s.chosen.value.every((entry) => entries.includes(entry));
    box.replaceChildren(...(word && within && entries.length > 1 ? entries.map((entry) => pieceButton(s, entry)) : []));
  });
  return box;
}

function pieceButton(s: State, entry: number): HTMLElement {
  const alone = s.chosen.value.length === 1 && s.chosen.value[0] === entry;
  const text = piece(s.e.header.pieces[s.e.header.steps[entry]!] ?? "");
  const button = el("button", { type: "button", "aria-pressed": String(alone) }, text);
  button.addEventListener("click", () => {
    const word = wordAt(s.e, entry)!;
    s.chosen.value = alone ? entriesOf(s.e, word) : [entry];
  });
  return button;
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
  const names = s.e.header.words.filter((word) => isChosen(s, word)).map((word) => quoted(word.text));
  if (names.length > 1) return `${listed(names)}: their maps are summed as they are, unweighted.`;
  const entry = chosen.reduce((a, b) => (s.shades.value[b]! > s.shades.value[a]! ? b : a));
  const o = s.options.value;
  const why = reason(s.e, entry, o);
  const at = (peak: { layer: number; head: number }) => `layer ${s.e.header.layers[peak.layer]}, head ${peak.head}`;
  const token = s.e.header.tokens[why.token];
  const source = token ? ` on ${quoted(piece(token[0]))}` : "";
  const how = o.fillerFilter === "max" || o.fillerFilter === "none" ? "" : ` (${nameOf(o.fillerFilter)})`;
  const text =
    why.token < 0 ? "there is no text to compare with" : `text ${number(why.text.value)} at ${at(why.text)}${source}`;
  const image = `image ${number(why.visual.value)} at ${at(why.visual)}`;
  const weight = why.visual.value - why.text.value;
  if (why.visual.value <= 0 && why.text.value <= 0) return `${names[0]} is silenced: neither image nor text raises it.`;
  return weight > 0
    ? `${names[0]} has visual weight ${number(weight)}${how}: ${image}; ${text}.`
    : `${names[0]} is silenced, the text wins${how}: ${text}; ${image}. The whole answer’s map leaves it out; this is its own.`;
}
