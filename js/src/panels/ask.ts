/** Ask the model about an image, and watch it answer. */

import { signal } from "@preact/signals-core";
import { bind, el, newId, watch } from "../dom";
import type { Host } from "../host";

export function askPanel(host: Host, prompt: string): HTMLElement {
  const text = signal(prompt);
  const id = newId("ask");
  const box = el("textarea", { id, rows: 1 });
  box.addEventListener("input", () => bind(text).set(box.value));
  const button = el("button", { type: "button" }, "Ask");
  button.addEventListener("click", () => {
    if (host.job.value) host.cancel();
    else host.ask(text.value).catch(() => {});
  });
  const status = el("p", { class: "status", role: "status" });
  const panel = el(
    "section",
    { class: "panel ask", "aria-label": "Ask" },
    el("label", { for: id }, "Ask"),
    box,
    button,
    status,
  );
  watch(() => {
    panel.hidden = !host.model.value;
    box.value = text.value;
    button.textContent = host.job.value ? "Stop" : "Ask";
    status.textContent = host.job.value?.text ?? "";
  });
  return panel;
}
