/** Buttons that concern the whole view. */

import { button, el, setAll, watch } from "../dom";
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
    help(),
  );
}

const rootOf = (node: Element): Element => node.closest(".dexar")!;

function help(): HTMLElement {
  const made: HTMLButtonElement = button("Keys and help ", () => openHelp(rootOf(made)), { "aria-haspopup": "dialog" });
  made.append(el("kbd", {}, "?"));
  return made;
}

/** It keeps the focus when there is nothing left to take back: a notebook's keys lie in wait. */
function pastButton(s: State, name: string, steps: { value: readonly unknown[] }, act: () => void): HTMLElement {
  const made = button(name, () => s.locked.value || act());
  watch(() => setAll(made, { "aria-disabled": String(s.locked.value || !steps.value.length) }));
  return made;
}

function fullScreen(): HTMLElement {
  const isFull = (node: Element) => {
    const root = node.closest(".dexar");
    return !!root && (root.getRootNode() as Document).fullscreenElement === root;
  };
  const made: HTMLButtonElement = button(
    "Full screen",
    () => void (isFull(made) ? document.exitFullscreen() : rootOf(made).requestFullscreen()).catch(() => {}),
    { hidden: !document.fullscreenEnabled, "aria-pressed": "false" },
  );
  watch(() => {
    const follow = () => setAll(made, { "aria-pressed": String(isFull(made)) });
    document.addEventListener("fullscreenchange", follow);
    return () => document.removeEventListener("fullscreenchange", follow);
  });
  return made;
}
