/** The keyboard: what every key does, and the help that lists them. */

import { el, watch } from "./dom";
import { moveWord } from "./panels/words";
import { allLayers, moveLayer, type State } from "./state";

interface Key {
  /** As `event.key` has it, letters in lower case. */
  keys: string[];
  /** As the help shows it, and what it does. */
  label: string;
  text: string;
  act?: (s: State, event: KeyboardEvent) => void;
}

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
    text: "the whole answer",
    act: (s) => {
      s.chosen.value = [];
    },
  },
  {
    keys: ["[", "]"],
    label: "[ ]",
    text: "one layer back, on; a range moves as it is",
    act: (s, { key }) => moveLayer(s, key === "[" ? -1 : 1),
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
  { keys: [], label: "Arrows", text: "on the map: from cell to cell" },
  {
    keys: ["?"],
    label: "?",
    text: "this help",
    act: (s) => {
      s.helpOpen.value = true;
    },
  },
];

const byKey = new Map(KEYS.flatMap((key) => key.keys.map((name) => [name, key] as const)));

/** Let keys work the view: on a page everywhere, in a notebook while the view has the focus. */
export function listen(s: State, root: HTMLElement): () => void {
  const ends = new AbortController();
  const { signal } = ends;
  const page = root.ownerDocument;
  const embedded = root.classList.contains("embedded");
  const place = embedded ? root : page;
  const release = () => {
    s.bare.value = false;
  };
  place.addEventListener("keydown", (event) => onKey(s, root, event as KeyboardEvent), { signal });
  page.addEventListener("keyup", (event) => event.key.toLowerCase() === "u" && release(), { signal });
  page.defaultView?.addEventListener("blur", release, { signal });
  if (embedded) {
    root.tabIndex = -1;
    // A notebook's own keys (d d, b, Enter …) rest while the view has the focus; shortcuts with a modifier go on.
    for (const name of ["keydown", "keyup", "keypress"])
      root.addEventListener(
        name,
        (event) => {
          const { ctrlKey, metaKey, altKey } = event as KeyboardEvent;
          if (!ctrlKey && !metaKey && !altKey) event.stopPropagation();
        },
        { signal },
      );
    root.addEventListener(
      "pointerdown",
      () => root.contains(page.activeElement) || root.focus({ preventScroll: true }),
      { signal },
    );
  }
  return () => {
    ends.abort();
    release();
  };
}

/** Keys act on the view unless a control needs them, or a modifier makes them the browser's. */
function onKey(s: State, root: HTMLElement, event: KeyboardEvent): void {
  const at = event.target as HTMLElement | null;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || s.helpOpen.value || s.locked.value)
    return;
  if (at?.matches("select, input[type=text], input[type=number], textarea")) return;
  const arrow = event.key === "ArrowLeft" || event.key === "ArrowRight";
  if (arrow && at?.matches("input, [role=tab]")) return;
  const key = byKey.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if (!key?.act || (event.key === " " && at?.matches("button, input, summary, [role=option]"))) return;
  event.preventDefault();
  key.act(s, event);
  if (arrow && at?.matches("[role=option]")) root.querySelector<HTMLElement>("[role=option][tabindex='0']")?.focus();
}

export function helpDialog(s: State): HTMLElement {
  const close = el("button", { type: "button" }, "Close");
  const rows = KEYS.flatMap(({ label, text }) => [
    el("dt", {}, ...label.split(" ").flatMap((key) => [el("kbd", {}, key), " "])),
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
