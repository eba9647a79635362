/** Above the map: what narrows it down, though it was chosen elsewhere, and a way back. */

import { button, el, watch } from "../dom";
import { presetOptions } from "../filters";
import { applyPreset, nameOf, type State } from "../state";

export function limits(s: State): HTMLElement {
  const text = el("span");
  const reset = button("Reset", () => applyPreset(s, s.preset.value));
  const line = el("span", { class: "limits row" }, text, reset);
  watch(() => {
    const said = limitsText(s);
    text.textContent = said;
    line.hidden = !said || s.bare.value;
  });
  return line;
}

/** How the choice differs from the preset's; empty if it does not. */
function limitsText(s: State): string {
  const o = s.options.value;
  const usual = presetOptions(s.e, o.preset)!;
  const { layers } = s.e.header;
  const [from, to] = o.layers;
  const said = [
    (from !== usual.layers[0] || to !== usual.layers[1]) &&
      (from === to ? `layer ${layers[from]} only` : `layers ${layers[from]}–${layers[to]}`),
    o.heads && `${o.heads.size} of ${s.e.size.layers * s.e.size.heads} heads chosen`,
    o.headFilter !== usual.headFilter && `head filter: ${nameOf(o.headFilter)}`,
    o.fillerFilter !== usual.fillerFilter && `filler filter: ${nameOf(o.fillerFilter)}`,
    o.textSet !== usual.textSet && "another text set",
    !o.relu && "with negative gradients",
  ].filter(Boolean);
  return said.join(" · ");
}
