/** Have a further method give its maps, where a model stands behind the view. */

import { computed, signal } from "@preact/signals-core";
import { bind, button, el, fill, select, watch } from "../dom";
import { methodsOf, specOf, titleOf } from "../methods";
import type { State } from "../state";
import { remaining } from "./ask";

export function computing(s: State): HTMLElement {
  const { host } = s;
  // What the view has already comes last: it is asked for what it takes, not for its map.
  const offered = computed(() => {
    const here = methodsOf(s.e);
    const names = host.methods.value.filter((name) => !specOf(s.e, name));
    return names.sort((a, b) => here.indexOf(a) - here.indexOf(b));
  });
  const wanted = signal("");
  const choice = el("span");
  fill(
    choice,
    () => offered.value.join("\n"),
    () => {
      const names = offered.peek();
      if (!names.includes(wanted.peek())) wanted.value = names[0] ?? "";
      const choices = names.map((value) => ({ value, label: titleOf(s.e, value) }));
      return [select("Another method", choices, bind(wanted))];
    },
  );
  const go = button("Compute", () => {
    host.attribute(wanted.value).catch(() => {}); // said in `problem`
  });
  const stop = button("Stop", () => host.cancel());
  const bar = el("progress", { "aria-label": "The method’s progress" });
  const said = el("p", { class: "hint", role: "status" });
  const all = el("div", { class: "computing" }, el("div", { class: "row" }, choice, go, stop), bar, said);
  watch(() => {
    const job = host.job.value;
    const running = job?.kind === "attribute";
    all.hidden = !host.model.value || (!offered.value.length && !running);
    bar.hidden = stop.hidden = !running;
    bar.max = job?.total || 1;
    bar.value = job?.done ?? 0;
    go.disabled = job !== null || !host.connected.value;
    said.textContent = running
      ? `${job.text}${remaining(job)}`
      : "It runs on the model behind this view; what it took stands below its maps.";
  });
  return all;
}
