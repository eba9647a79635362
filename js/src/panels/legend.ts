/** What the colours of a picture mean: its scale as a bar, with numbers below and their unit. */

import { gradient, type Scale } from "../colour";
import { el, watch } from "../dom";
import { ticksOf } from "../scale";

export interface Legend {
  scale: Scale;
  /** All that is drawn: what lies beyond the scale's ends is marked there. */
  values: ArrayLike<number>;
  unit?: string;
}

/** Hidden while `read` gives null. */
export function legend(read: () => Legend | null): HTMLElement {
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  const ticks = [el("span"), el("span"), el("span")];
  const unit = el("p", { class: "unit" });
  const box = el("div", { class: "legend" }, bar, el("div", { class: "ticks" }, ...ticks), unit);
  watch(() => {
    const found = read();
    box.hidden = !found;
    if (!found) return;
    bar.style.background = gradient(found.scale);
    for (const [i, text] of ticksOf(found.scale, found.values).entries()) ticks[i]!.textContent = text;
    unit.textContent = found.unit ?? "";
    unit.hidden = !found.unit;
  });
  return box;
}
