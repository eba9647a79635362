/** The panels together, and what stands around them. */

import { el, fill, newId, scoped, setAll, watch } from "./dom";
import { modelOf } from "./facts";
import type { Host } from "./host";
import { helpDialog, listen } from "./keys";
import { askPanel, imagePanel, layersPanel, TABS, toolbar, wordsPanel } from "./panels";
import type { State } from "./state";
import type { LessonStep } from "./wire";

/** Show an explanation inside `root`; the result takes it away again. */
export function mount(root: HTMLElement, s: State, lesson: readonly LessonStep[] = []): () => void {
  root.classList.add("dexar");
  const take = place(root, () => [
    header(s),
    ...s.e.header.notices.map((text) => el("p", { class: "notice" }, text)),
    askPanel(s.host, s.e.header.prompt),
    problem(s.host),
    wordsPanel(s),
    el(
      "div",
      { class: "columns" },
      el("div", { class: "side" }, imagePanel(s)),
      el("div", { class: "side" }, layersPanel(s), tabs(s, lesson)),
    ),
    footer(s),
    helpDialog(),
  ]);
  const [, unlock] = scoped(() => watch(() => lock(root, s.locked.value)));
  const unlisten = listen(s, root);
  return () => {
    unlisten();
    unlock();
    take();
  };
}

/** While a lesson locks the controls, they all rest but the picture, the lesson's own and the way out. */
function lock(root: HTMLElement, locked: boolean): void {
  for (const part of root.querySelectorAll<HTMLElement>(".panel, .image > *"))
    if (!part.closest(".tabpanel, .stage") && !part.querySelector(".stage")) part.inert = locked;
}

/** What a live view shows before its first answer. */
export const mountAsk = (root: HTMLElement, host: Host): (() => void) =>
  place(root, () => [askPanel(host), problem(host)]);

/** What stands here while the numbers of a view are on their way. */
export function mountWait(root: HTMLElement, host: Host): () => void {
  return place(root, () => {
    const line = el("p", { class: "notice", role: "status" });
    watch(() => {
      line.textContent = host.problem.value
        ? "The numbers of this view were not saved with the notebook, and the kernel does not answer: run the cell again."
        : "The numbers of this view are on their way from the kernel.";
    });
    return [line];
  });
}

function place(root: HTMLElement, build: () => Node[]): () => void {
  const [parts, unwatch] = scoped(build);
  root.replaceChildren(...parts);
  return () => {
    unwatch();
    root.replaceChildren();
  };
}

function header(s: State): HTMLElement {
  return el("header", {}, el("h1", {}, s.e.header.title), el("span", { class: "model" }, modelOf(s.e)), toolbar(s));
}

function problem(host: Host): HTMLElement {
  const line = el("p", { class: "notice problem", role: "status" });
  watch(() => {
    line.textContent = host.problem.value;
    line.hidden = !host.problem.value;
  });
  return line;
}

/** One panel of the several that take turns; it is made when its tab is opened and ended when another is. */
function tabs(s: State, lesson: readonly LessonStep[]): HTMLElement {
  const id = newId("tab");
  const panel = el("div", { role: "tabpanel", id: `${id}-panel`, class: "panel tabpanel", tabindex: 0 });
  const buttons = TABS.map(({ name }, i) => {
    const button = el("button", { type: "button", role: "tab", id: `${id}-${i}`, "aria-controls": panel.id }, name);
    button.addEventListener("click", () => {
      s.tab.value = name;
    });
    return button;
  });
  const list = el("div", { role: "tablist", "aria-label": "Panels" }, ...buttons);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const next = buttons[(buttons.findIndex(({ tabIndex }) => tabIndex === 0) + by + buttons.length) % buttons.length]!;
    next.click();
    next.focus();
  });
  const at = () =>
    Math.max(
      0,
      TABS.findIndex(({ name }) => name === s.tab.value),
    );
  watch(() => {
    for (const [i, button] of buttons.entries())
      setAll(button, { "aria-selected": String(i === at()), tabindex: i === at() ? 0 : -1 });
    setAll(panel, { "aria-labelledby": buttons[at()]!.id });
  });
  fill(panel, at, (tab) => [TABS[tab]!.build(s, lesson)]);
  return el("section", { class: "tabs", "aria-label": "More" }, list, panel);
}

function footer(s: State): HTMLElement {
  const rows = Object.entries(s.e.header.provenance).flatMap(([name, value]) => [
    el("dt", {}, name),
    el("dd", {}, value),
  ]);
  const still =
    "A static copy: words, layers, filters and colours work without a network or Python. Asking something new, or hiding a region to test the map, needs the model.";
  return el(
    "footer",
    {},
    s.host.live ? null : el("p", { class: "hint" }, still),
    el("details", {}, el("summary", {}, "How this was made"), el("dl", { class: "provenance" }, ...rows)),
  );
}

/** A page that cannot be read says why. */
export function complain(root: HTMLElement, error: unknown): () => void {
  root.classList.add("dexar");
  const text = error instanceof Error ? error.message : String(error);
  const note = el("p", { class: "notice" }, `This explanation cannot be shown. ${text}`);
  setAll(note, { role: "alert" });
  root.replaceChildren(note);
  return () => root.replaceChildren();
}
