/** The keyboard: what every key does, and the help that lists them. */

import { button, el } from "./dom";
import { historyOf } from "./history";
import { TAGS, tag } from "./panels/failures";
import { refuse } from "./panels/teach";
import { moveWord } from "./panels/words";
import { allLayers, moveLayer, type State } from "./state";

interface Key {
  /** As `event.key` has it, letters in lower case. */
  keys: string[];
  /** As the help shows it, and what it does. */
  label: string;
  text: string;
  act?: (s: State, event: KeyboardEvent, root: HTMLElement) => void;
  /** Also while a lesson has locked the controls. */
  always?: true;
}

const lessonButton = (root: HTMLElement, key: string): HTMLElement | null =>
  root.querySelector(`.lesson .${key === "PageUp" ? "back" : "next"}`);

export const openHelp = (root: Element): void => root.querySelector<HTMLDialogElement>("dialog.help")?.showModal();

const flip = (s: State, which: "headFilter" | "fillerFilter"): void => {
  s[which].value = s[which].value === "none" ? "max" : "none";
};

export const KEYS: Key[] = [
  {
    keys: ["ArrowLeft", "ArrowRight"],
    label: "← →",
    text: "previous, next word; with Shift the run grows",
    act: (s, { key, shiftKey }) => moveWord(s, key === "ArrowLeft" ? -1 : 1, shiftKey),
  },
  {
    keys: ["Escape"],
    label: "Esc",
    text: "the whole answer; unlocks what a lesson has locked",
    act: (s) => {
      if (s.locked.value) s.locked.value = false;
      else s.chosen.value = [];
    },
    always: true,
  },
  {
    keys: ["[", "]"],
    label: "[ ]",
    text: "one layer back, on; a range moves as it is",
    act: (s, { key }) => moveLayer(s, key === "[" ? -1 : 1),
  },
  {
    keys: [" "],
    label: "Space",
    text: "play through the layers, pause",
    act: (s) => {
      s.playing.value = !s.playing.value;
    },
  },
  { keys: ["a"], label: "A", text: "all layers", act: allLayers },
  { keys: ["h"], label: "H", text: "head filter off, on", act: (s) => flip(s, "headFilter") },
  { keys: ["f"], label: "F", text: "filler filter off, on", act: (s) => flip(s, "fillerFilter") },
  {
    keys: ["u"],
    label: "U",
    text: "held down: the map without any filter",
    act: (s) => {
      s.bare.value = true;
    },
  },
  {
    keys: ["c"],
    label: "C",
    text: "cells or smooth",
    act: (s) => {
      s.display.value = { ...s.display.value, smooth: !s.display.value.smooth };
    },
  },
  { keys: [], label: "Arrows", text: "on the map: from cell to cell; Enter: which words use it; with Shift: a box" },
  { keys: [], label: "↓ ↑", text: "on a word of several tokens: its parts" },
  { keys: [], label: "Enter Space", text: "on a head: it alone; muted, or not" },
  {
    keys: ["1", "2", "3", "4", "5"],
    label: "1–5",
    text: `note on the chosen words: ${TAGS.join(", ")}`,
    act: (s, { key }) => tag(s, Number(key) - 1),
  },
  { keys: [], label: "Ctrl Z", text: "undo (⌘ on a Mac); with Shift, or Ctrl Y, redo" },
  {
    keys: ["PageUp", "PageDown"],
    label: "PgUp PgDn",
    text: "in a lesson: back, on",
    act: (_, { key }, root) => lessonButton(root, key)?.click(),
    always: true,
  },
  { keys: ["?"], label: "?", text: "this help", act: (_, __, root) => openHelp(root), always: true },
];

const byKey = new Map(KEYS.flatMap((key) => key.keys.map((name) => [name, key] as const)));

/**
 * Keep a notebook's own keys (d d, b, Shift+Enter …) off the view while it has the focus; those with a modifier go on,
 * except undo. Notebook 7 hears keys before any element does: an attribute of the one in focus tells its shortcuts to stay out.
 */
export function shield(root: HTMLElement): () => void {
  const ends = new AbortController();
  const { signal } = ends;
  const page = root.ownerDocument;
  const ours = ({ ctrlKey, metaKey, altKey, key }: KeyboardEvent) =>
    (!ctrlKey && !metaKey && !altKey) || "zy".includes(key.toLowerCase());
  const tell = (event: KeyboardEvent) => {
    const at = event.target;
    if (at instanceof Element && root.contains(at)) at.toggleAttribute("data-lm-suppress-shortcuts", ours(event));
  };
  page.defaultView?.addEventListener("keydown", tell, { capture: true, signal });
  root.tabIndex = -1;
  for (const name of ["keydown", "keyup", "keypress"] as const)
    root.addEventListener(name, (event) => ours(event) && event.stopPropagation(), { signal });
  const take = () => {
    const { activeElement } = root.getRootNode() as Document;
    if (!root.contains(activeElement)) root.focus({ preventScroll: true });
  };
  root.addEventListener("pointerdown", take, { signal });
  return () => ends.abort();
}

/** Let keys work the view: on a page everywhere, in a notebook while the view has the focus. */
export function listen(s: State, root: HTMLElement): () => void {
  const ends = new AbortController();
  const { signal } = ends;
  const page = root.ownerDocument;
  const release = () => {
    s.bare.value = false;
  };
  const place = root.classList.contains("embedded") ? root : page;
  place.addEventListener("keydown", (event) => onKey(s, root, event as KeyboardEvent), { signal });
  // While it goes down: a shield lets none come up.
  page.addEventListener("keyup", (event) => event.key.toLowerCase() === "u" && release(), { signal, capture: true });
  page.defaultView?.addEventListener("blur", release, { signal });
  return () => {
    ends.abort();
    release();
  };
}

const TYPED = "select, textarea, input:not([type=range], [type=radio], [type=checkbox])";

/** Keys act on the view unless a control needs them, or a modifier makes them the browser's. */
function onKey(s: State, root: HTMLElement, event: KeyboardEvent): void {
  const at = event.target as Element | null;
  if (event.defaultPrevented || at?.matches?.(TYPED) || root.querySelector("dialog[open]")) return;
  const act = actionOf(s, root, event);
  if (!act) return;
  event.preventDefault();
  act();
  if (isAcross(event) && at?.matches("[role=option]"))
    root.querySelector<HTMLElement>("[role=option][tabindex='0']")?.focus();
}

const isAcross = ({ key }: KeyboardEvent): boolean => key === "ArrowLeft" || key === "ArrowRight";

/** What a key would do here; null where it is for a control, the browser or the notebook. */
function actionOf(s: State, root: HTMLElement, event: KeyboardEvent): (() => void) | null {
  const at = event.target as Element | null;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const { ctrlKey, metaKey, altKey } = event;
  // Many layouts reach the brackets through Alt or AltGr, which Windows reports as Ctrl and Alt.
  if ((ctrlKey || metaKey || altKey) && !(altKey && "[]".includes(name))) return chord(s, name, event);
  const key = byKey.get(name);
  if (!key?.act || (FOR_CONTROLS[name] && at?.matches(FOR_CONTROLS[name]))) return null;
  if (s.locked.value && !key.always) return () => refuse(s, key.label);
  if (name.startsWith("Page") && !lessonButton(root, name)) return null;
  return () => key.act?.(s, event, root);
}

const FOR_CONTROLS: Record<string, string> = {
  " ": "button, input, summary, [role=option]",
  ArrowLeft: "input, [role=tab]",
  ArrowRight: "input, [role=tab]",
};

function chord(s: State, name: string, { altKey, shiftKey }: KeyboardEvent): (() => void) | null {
  const to = { z: shiftKey ? "redo" : "undo", y: "redo" }[name] as "undo" | "redo" | undefined;
  return altKey || s.locked.value || !to ? null : () => historyOf(s)[to]();
}

export function helpDialog(): HTMLElement {
  const rows = KEYS.flatMap(({ label, text }) => [
    el("dt", {}, ...label.split(" ").flatMap((key) => [el("kbd", {}, key), " "])),
    el("dd", {}, text),
  ]);
  const dialog: HTMLDialogElement = el(
    "dialog",
    { class: "help", "aria-label": "Keys and help" },
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
    button("Close", () => dialog.close()),
  );
  // A click beside it closes it, as `closedby` would where that is known; the ground around it counts as the dialog.
  dialog.addEventListener("click", ({ target, clientX: x, clientY: y }) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    if (target === dialog && (x < left || x > right || y < top || y > bottom)) dialog.close();
  });
  return dialog;
}
