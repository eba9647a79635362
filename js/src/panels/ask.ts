/** Ask the model about an image, and watch it answer. */

import { signal } from "@preact/signals-core";
import { button, el, newId, setAll, watch } from "../dom";
import type { Host, Job } from "../host";

/** What a message can carry without trouble on every host. */
const IMAGE_BYTES = 8e6;

/** With a `prompt` beside an explanation; without one it is the first thing to be asked. */
export function askPanel(host: Host, prompt?: string): HTMLElement {
  if (!host.live) return el("section", { hidden: true });
  const said = signal("");
  const obstacle = () => obstacleOf(host, prompt !== undefined);
  const picture = el("img", { class: "asked", alt: "The image that will be asked about" });
  const asking = question(host, prompt ?? "", said, obstacle);
  const fields = el("fieldset", { class: "row" }, picture, ...asking, ...(host.driven ? [] : [chooser(host, said)]));
  const hint = el("p", { class: "hint", role: "status" });
  const look = prompt === undefined ? "panel ask first" : "panel ask";
  const panel = el("section", { class: look, "aria-label": "Ask" }, fields, hint, ...answering(host, said));
  if (!host.driven) takeImages(panel, host, said);
  watch(() => {
    fields.disabled = !host.model.value || !host.connected.value;
    hint.textContent = obstacle() || "Enter asks. Another image can be dropped or pasted here.";
    picture.hidden = host.driven || !host.picture.value;
    setAll(picture, { src: host.picture.value?.src });
  });
  return panel;
}

/** What to ask, and the button that asks it or stops the answer. */
function question(host: Host, prompt: string, said: { value: string }, obstacle: () => string): HTMLElement[] {
  const id = newId("ask");
  const box = el("textarea", { id, rows: 1, placeholder: "What is in the image?" });
  box.value = prompt;
  const act = () => {
    if (isAsking(host)) {
      said.value = "Stopping.";
      host.cancel();
    } else if (!obstacle()) {
      const empty = !box.value.trim();
      said.value = empty ? "Write a question first." : "";
      if (!empty) host.ask(box.value).catch(() => {}); // said in `problem`
    }
  };
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!isAsking(host)) act();
  });
  const go = button("Ask", act);
  watch(() => {
    go.textContent = isAsking(host) ? "Stop" : "Ask";
    go.hidden = host.driven && !isAsking(host);
  });
  return host.driven ? [go] : [el("label", { for: id, class: "tag" }, "Ask"), box, go];
}

const isAsking = (host: Host): boolean => host.job.value?.kind === "ask";

function obstacleOf(host: Host, again: boolean): string {
  if (!host.connected.value) return " "; // the view's own line says why
  if (!host.model.value) return "Nothing can be asked: no model is in memory. dx.Explorer(vlm, image) brings one.";
  if (host.driven) return "Ask in the scene builder; the answer appears here.";
  return again || host.picture.value ? "" : "Drop an image here, paste it, or choose a file; then ask about it.";
}

/** How the answer comes along: its words, a bar, and how it ended if it was stopped. */
function answering(host: Host, said: { value: string }): HTMLElement[] {
  const words = el("p", { class: "coming" });
  const bar = el("progress", { "aria-label": "Progress" });
  const line = el("p", { class: "status", role: "status" });
  let asked = false;
  watch(() => {
    const job = isAsking(host) ? host.job.value : null;
    if (asked && !job && said.value === "Stopping.") said.value = "Stopped.";
    asked = !!job;
    words.textContent = job?.words.join(" ").replace(/ (?=[.,;:!?…)])/g, "") ?? "";
    bar.hidden = !job;
    setAll(bar, { max: job?.total || undefined, value: job?.total ? job.done : undefined });
    line.textContent = job && said.value !== "Stopping." ? `${job.text}${remaining(job)}` : said.value;
  });
  return [words, bar, line];
}

export function remaining({ done, total, since }: Job): string {
  const seconds = done && total ? ((Date.now() - since) / 1000 / done) * (total - done) : 0;
  if (seconds < 2) return "";
  return seconds < 90 ? `, about ${Math.round(seconds)} s left` : `, about ${Math.round(seconds / 60)} min left`;
}

function chooser(host: Host, said: { value: string }): HTMLElement {
  const file = el("input", { type: "file", accept: "image/*", hidden: true });
  file.addEventListener("change", () => {
    load(host, said, file.files);
    file.value = "";
  });
  const open = button("Choose an image", () => file.click());
  return el("span", {}, open, file);
}

/** Images that are dropped or pasted onto the panel; the notebook around it does not get them. */
function takeImages(panel: HTMLElement, host: Host, said: { value: string }): void {
  const take = (event: Event, files?: FileList) => {
    if (event.type === "paste" && !files?.length) return;
    event.preventDefault();
    event.stopPropagation();
    panel.classList.toggle("over", event.type === "dragover");
    load(host, said, files);
  };
  for (const name of ["dragover", "dragleave"]) panel.addEventListener(name, (event) => take(event));
  panel.addEventListener("drop", (event) => take(event, event.dataTransfer?.files));
  panel.addEventListener("paste", (event) => take(event, event.clipboardData?.files));
}

function load(host: Host, said: { value: string }, files?: FileList | null): void {
  const file = files?.[0];
  if (!file || !host.model.value) return;
  const size = `${(file.size / 1e6).toFixed(1)} MB`;
  said.value = file.size > IMAGE_BYTES ? `“${file.name}” has ${size}; an image of at most 8 MB can be sent.` : "";
  if (!said.value) host.load(file).catch(() => {}); // said in `problem`
}
