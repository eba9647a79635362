/** The panels together, the keys that work them, and what stands around them. */

import { el, scoped, setAll, watch } from "./dom";
import { filtersPanel } from "./panels/filters";
import { imagePanel } from "./panels/image";
import { layersPanel } from "./panels/layers";
import { moveWord, wordsPanel } from "./panels/words";
import { allLayers, createState, moveLayer, type State } from "./state";
import type { Explanation } from "./wire";

/** Show an explanation inside `root`; the result takes it away again. */
export function mount(root: HTMLElement, e: Explanation): () => void {
  const s = createState(e);
  const [parts, unwatch] = scoped(() => [
    header(s),
    ...e.header.notices.map((text) => el("p", { class: "notice" }, text)),
    wordsPanel(s),
    el("div", { class: "columns" }, imagePanel(s), el("div", { class: "side" }, layersPanel(s), filtersPanel(s))),
    footer(s),
    help(s),
  ]);
  const keys = new AbortController();
  const target = root.ownerDocument;
  target.addEventListener("keydown", (event) => onKey(s, root, event), { signal: keys.signal });
  target.addEventListener("keyup", (event) => event.key.toLowerCase() === "u" && release(s), { signal: keys.signal });
  target.defaultView?.addEventListener("blur", () => release(s), { signal: keys.signal });
  root.classList.add("dexar");
  root.replaceChildren(...parts);
  return () => {
    keys.abort();
    unwatch();
    root.replaceChildren();
  };
}

const release = (s: State): void => {
  s.bare.value = false;
};

function header(s: State): HTMLElement {
  const open = el("button", { type: "button", "aria-haspopup": "dialog" }, "Keys and help ", el("kbd", {}, "?"));
  open.addEventListener("click", () => {
    s.helpOpen.value = true;
  });
  // A folder's last two names say enough; the whole path stands in the footer.
  const model = (s.e.header.provenance.model ?? "").split("/").slice(-2).join("/");
  return el("header", {}, el("h1", {}, s.e.header.title), el("span", { class: "model" }, model), open);
}

const KEYS: [string, string][] = [
  ["← →", "previous, next word; with Shift the run grows"],
  ["Esc", "the whole answer"],
  ["[ ]", "one layer back, on; a range moves as it is"],
  ["A", "all layers"],
  ["H", "head filter off, on"],
  ["F", "filler filter off, on"],
  ["U", "held down: the map without any filter"],
  ["C", "cells or smooth"],
  ["Arrows", "on the map: from cell to cell"],
  ["?", "this help"],
];

function help(s: State): HTMLElement {
  const close = el("button", { type: "button" }, "Close");
  const rows = KEYS.flatMap(([keys, text]) => [
    el("dt", {}, ...keys.split(" ").flatMap((key) => [el("kbd", {}, key), " "])),
    el("dd", {}, text),
  ]);
  const dialog = el(
    "dialog",
    { "aria-label": "Keys and help" },
    el("h2", {}, "Keys"),
    el("dl", {}, ...rows),
    el("h2", {}, "What the map is"),
    el(
      "p",
      {},
      "For every layer and head: how the logit of the word that was said, read out right after that layer, would change with more attention on each image patch. " +
        "It shows sensitivity. A patch can light up that the model hardly looks at, and image content passed on through earlier text counts as text. " +
        "Only hiding a region and asking again tells what the model uses.",
    ),
    close,
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    s.helpOpen.value = false;
  });
  watch(() => {
    if (s.helpOpen.value && !dialog.open) dialog.showModal();
  });
  return dialog;
}

function footer(s: State): HTMLElement {
  const rows = Object.entries(s.e.header.provenance).flatMap(([name, value]) => [
    el("dt", {}, name),
    el("dd", {}, value),
  ]);
  return el(
    "footer",
    {},
    el(
      "p",
      { class: "hint" },
      "A static copy: words, layers, filters and colours work without a network or Python. Asking something new, or hiding a region to test the map, needs the model.",
    ),
    el("details", {}, el("summary", {}, "How this was made"), el("dl", { class: "provenance" }, ...rows)),
  );
}

/** Keys act on the view unless a control needs them, or a modifier makes them the browser's. */
function onKey(s: State, root: HTMLElement, event: KeyboardEvent): void {
  const at = event.target as HTMLElement | null;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || s.helpOpen.value) return;
  if (at?.matches("select, input[type=text], textarea")) return;
  const arrow = event.key === "ArrowLeft" || event.key === "ArrowRight";
  if (arrow && at?.matches("input")) return;
  const act = ACTIONS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act(s, event.shiftKey);
  if (arrow && at?.matches("[role=option]")) root.querySelector<HTMLElement>("[role=option][tabindex='0']")?.focus();
}

const ACTIONS: Record<string, (s: State, shift: boolean) => void> = {
  ArrowLeft: (s, shift) => moveWord(s, -1, shift),
  ArrowRight: (s, shift) => moveWord(s, 1, shift),
  Escape: (s) => {
    s.chosen.value = [];
  },
  "[": (s) => moveLayer(s, -1),
  "]": (s) => moveLayer(s, 1),
  a: allLayers,
  h: (s) => {
    s.headFilter.value = s.headFilter.value === "none" ? "max" : "none";
  },
  f: (s) => {
    s.fillerFilter.value = s.fillerFilter.value === "none" ? "max" : "none";
  },
  u: (s) => {
    s.bare.value = true;
  },
  c: (s) => {
    s.smooth.value = !s.smooth.value;
  },
  "?": (s) => {
    s.helpOpen.value = true;
  },
};

/** A page that cannot be read says why. */
export function complain(root: HTMLElement, error: unknown): void {
  root.classList.add("dexar");
  const text = error instanceof Error ? error.message : String(error);
  const note = el("p", { class: "notice" }, `This explanation cannot be shown. ${text}`);
  setAll(note, { role: "alert" });
  root.replaceChildren(note);
}
