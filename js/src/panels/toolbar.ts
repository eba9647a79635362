/** Buttons that concern the whole view. */

import { el, setAll, watch } from "../dom";
import { historyOf } from "../history";
import { openHelp } from "../keys";
import type { State } from "../state";

export function toolbar(s: State): HTMLElement {
  const { past, future, undo, redo } = historyOf(s);
  return el(
    "div",
    { class: "row toolbar", role: "group", "aria-label": "View" },
    pastButton(s, "Undo", past, undo),
    pastButton(s, "Redo", future, redo),
    fullScreen(),
    button((root) => openHelp(root), { "aria-haspopup": "dialog" }, "Keys and help ", el("kbd", {}, "?")),
  );
}

function button(
  act: (root: Element) => void,
  attributes: Parameters<typeof el>[1],
  ...label: (string | Node)[]
): HTMLButtonElement {
  const made = el("button", { type: "button", ...attributes }, ...label);
  made.addEventListener("click", () => act(made.closest(".dexar")!));
  return made;
}

/** It keeps the focus when there is nothing left to take back: a notebook's keys lie in wait. */
function pastButton(s: State, name: string, steps: { value: readonly unknown[] }, act: () => void): HTMLElement {
  const made = button(() => s.locked.value || act(), {}, name);
  watch(() => setAll(made, { "aria-disabled": String(s.locked.value || !steps.value.length) }));
  return made;
}

function fullScreen(): HTMLElement {
  const isFull = (root: Element | null) => !!root && (root.getRootNode() as Document).fullscreenElement === root;
  const made = button(
    (root) => void (isFull(root) ? document.exitFullscreen() : root.requestFullscreen()).catch(() => {}),
    { hidden: !document.fullscreenEnabled, "aria-pressed": "false" },
    "Full screen",
  );
  watch(() => {
    const follow = () => setAll(made, { "aria-pressed": String(isFull(made.closest(".dexar"))) });
    document.addEventListener("fullscreenchange", follow);
    return () => document.removeEventListener("fullscreenchange", follow);
  });
  return made;
}
