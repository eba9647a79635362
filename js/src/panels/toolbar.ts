/** Buttons that concern the whole view. */

import { el } from "../dom";
import type { State } from "../state";

export function toolbar(s: State): HTMLElement {
  const help = el("button", { type: "button", "aria-haspopup": "dialog" }, "Keys and help ", el("kbd", {}, "?"));
  help.addEventListener("click", () => {
    s.helpOpen.value = true;
  });
  return el("div", { class: "row toolbar", role: "group", "aria-label": "View" }, help);
}
