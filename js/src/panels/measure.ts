/** A button that has the model tested, how far that is, and a way to stop it. */

import { button, el, watch } from "../dom";
import type { Measured } from "../host";
import type { State } from "../state";
import { remaining } from "./ask";

export interface Test {
  kind: Measured;
  /** The progress bar's name. */
  name: string;
  label(): string;
  content(): object;
  /** Said while nothing runs. */
  idle(): string;
  /** Whether there is anything to test. */
  ready?(): boolean;
}

/** `beside` stands next to the button. */
export function measuring(s: State, test: Test, ...beside: Node[]): HTMLElement {
  const { host } = s;
  const go = button("", () => {
    host.measure(test.kind, test.content()).catch(() => {}); // said in `problem`
  });
  const stop = button("Stop", () => host.cancel());
  const bar = el("progress", { "aria-label": test.name });
  const said = el("p", { class: "hint", role: "status" });
  watch(() => {
    const job = host.job.value;
    const running = job?.kind === test.kind;
    bar.hidden = stop.hidden = !running;
    bar.max = job?.total || 1;
    bar.value = job?.done ?? 0;
    go.textContent = test.label();
    go.disabled = !host.model.value || job !== null || test.ready?.() === false;
    said.textContent = running ? `${job.text}${remaining(job)}` : test.idle();
  });
  return el("div", {}, el("div", { class: "row" }, go, ...beside, bar, stop), said);
}
