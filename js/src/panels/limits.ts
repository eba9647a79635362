/** Above the map: what narrows it down, though it was chosen elsewhere, and a way back. */

import { button, el, watch } from "../dom";
import { layersOf, runOf, shownSide } from "../facts";
import { presetOptions } from "../filters";
import { readyMade } from "../methods";
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

/** How the choice differs from the preset's; empty if it does not. No filter touches raw attention, and nothing what is ready-made. */
function limitsText(s: State): string {
  const { options: o, method } = s.shown.value;
  if (readyMade(s.e, method)) return "";
  const usual = presetOptions(s.e, o.preset)!;
  const run = runOf(...layersOf(shownSide(s)));
  const layers = `${o.layers}` !== `${usual.layers}` && (o.layers[0] === o.layers[1] ? `${run} only` : run);
  if (method === "attention") return layers || "";
  return [
    layers,
    o.heads && `${o.heads.size} of ${s.e.size.layers * s.e.size.heads} heads chosen`,
    o.headFilter !== usual.headFilter && `head filter: ${nameOf(o.headFilter)}`,
    o.fillerFilter !== usual.fillerFilter && `filler filter: ${nameOf(o.fillerFilter)}`,
    o.textSet !== usual.textSet && "another text set",
    !o.relu && "with negative gradients",
  ]
    .filter(Boolean)
    .join(" · ");
}
