/** Elements without a framework. Text from a model only ever becomes a text node. */

import { effect, type Signal, untracked } from "@preact/signals-core";

/** Where the arrow keys lead: [down, right]. */
export const ARROWS: Record<string, [down: number, right: number]> = {
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
};

let disposers: (() => void)[] | undefined;

/** An effect that ends with the view it belongs to; what it returns runs before its next run and at the end. */
export function watch(run: Parameters<typeof effect>[0]): void {
  disposers?.push(effect(run));
}

/** Fill a place anew whenever `key` changes; what was built before ends. */
export function fill<T>(place: Element, key: () => T, build: (value: T) => Node[]): void {
  watch(() => {
    const value = key();
    const [nodes, end] = untracked(() => scoped(() => build(value)));
    place.replaceChildren(...nodes);
    return end;
  });
}

/** Build a view; the second value ends all that it watches. */
export function scoped<T>(build: () => T): [T, () => void] {
  const outer = disposers;
  const mine: (() => void)[] = [];
  disposers = mine;
  try {
    const end = () => {
      for (const dispose of mine.splice(0)) dispose();
    };
    return [build(), end];
  } finally {
    disposers = outer;
  }
}

type Child = Node | string | null | undefined;
type Attributes = Record<string, string | number | boolean | undefined>;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  setAll(node, attributes);
  append(node, children);
  return node;
}

export function svg(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAll(node, attributes);
  append(node, children);
  return node;
}

export function setAll(node: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : String(value));
  }
}

function append(node: Element, children: Child[]): void {
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
}

export function button(label: string, act: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const node = el("button", { type: "button", ...attributes }, label);
  node.addEventListener("click", act);
  return node;
}

/**
 * What draws on a canvas that is kept in main memory: one that lies with the graphics is not shown again by WebKit when a
 * notebook, which takes out what is scrolled away, puts its cell back.
 */
export const penOf = (canvas: HTMLCanvasElement): CanvasRenderingContext2D | null =>
  canvas.getContext("2d", { willReadFrequently: true });

export const hint = (text: string): HTMLElement => el("p", { class: "hint" }, text);

/** A table that scrolls within its place; of its rows each begins with what it is about. */
export function tableOf(heads: string[], body: HTMLElement): HTMLElement {
  const names = heads.map((head) => el("th", { scope: "col" }, head));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...names)), body));
}

export const row = (head: Child, ...cells: string[]): HTMLElement =>
  el("tr", {}, el("th", { scope: "row" }, head), ...cells.map((text) => el("td", {}, text)));

/** The numbers of a picture, for who does not see it. */
export function asTable(heads: string[], rows: HTMLElement[]): HTMLElement {
  const table = tableOf(heads, el("tbody", {}, ...rows));
  table.tabIndex = 0; // scrolled by keys: nothing in it takes the focus
  return el("details", {}, el("summary", {}, "As a table"), table);
}

/** A hint that follows what it speaks of. */
export function sentence(text: () => string): HTMLElement {
  const line = el("p", { class: "hint" });
  watch(() => {
    line.textContent = text();
  });
  return line;
}

export interface Choice<T extends string> {
  value: T;
  label: string;
  title?: string;
}

export interface Control<T> {
  get: () => T;
  set: (value: T) => void;
}

/** A control of a signal as it is. */
export const bind = <T>(of: Signal<T>): Control<T> => ({
  get: () => of.value,
  set: (value) => {
    of.value = value;
  },
});

/** A control of one field of a signal's record. */
export const bindField = <T extends object, K extends keyof T>(of: Signal<T>, field: K): Control<T[K]> => ({
  get: () => of.value[field],
  set: (value) => {
    of.value = { ...of.value, [field]: value };
  },
});

// A notebook evaluates this module once per widget: counted alone, radio buttons of two views would be one group.
let serial = Math.floor(Math.random() * 1e9);
export const newId = (stem: string): string => `dexar-${stem}-${++serial}`;

/** A row of radio buttons that looks like one control. */
export function segmented<T extends string>(legend: string, choices: Choice<T>[], control: Control<T>): HTMLElement {
  const name = newId("choice");
  const inputs = choices.map(({ value, label, title }) => {
    const input = el("input", { type: "radio", name, value });
    input.addEventListener("change", () => control.set(value));
    return el("label", { title }, input, el("span", {}, label));
  });
  const group = el("div", { class: "segmented", role: "radiogroup", "aria-label": legend }, ...inputs);
  watch(() => {
    const value = control.get();
    for (const label of inputs)
      (label.firstChild as HTMLInputElement).checked = (label.firstChild as HTMLInputElement).value === value;
  });
  return group;
}

export function select<T extends string>(label: string, choices: Choice<T>[], control: Control<T>): HTMLElement {
  const id = newId("select");
  const box = el("select", { id }, ...choices.map(({ value, label }) => el("option", { value }, label)));
  box.addEventListener("change", () => control.set(box.value as T));
  watch(() => {
    box.value = control.get();
  });
  return el("span", { class: "field" }, el("label", { for: id }, label), box);
}

export function slider(
  label: string,
  range: { min: number; max: number; step: number },
  control: Control<number>,
  say: (value: number) => string,
): HTMLElement {
  const id = newId("slider");
  const input = el("input", { id, type: "range", ...range });
  const output = el("output", { for: id });
  input.addEventListener("input", () => control.set(Number(input.value)));
  watch(() => {
    input.value = String(control.get());
    output.textContent = say(control.get());
    input.setAttribute("aria-valuetext", say(control.get()));
  });
  return el("span", { class: "field slider" }, el("label", { for: id }, label), input, output);
}

export function checkbox(label: string, control: Control<boolean>): HTMLElement {
  const input = el("input", { type: "checkbox" });
  input.addEventListener("change", () => control.set(input.checked));
  watch(() => {
    input.checked = control.get();
  });
  return el("label", { class: "check" }, input, label);
}
