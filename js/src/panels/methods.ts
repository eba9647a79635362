/** The table of words × methods: each map small over the image, on one kind of scale, and what each method took. */

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import type { Scale } from "../colour";
import { COSTS, type Column, columnParts, type Row, type Scaling, type Sheet, sheetOf } from "../columns";
import { rivalOf } from "../compare";
import { ARROWS, bind, checkbox, el, fill, segmented, setAll, watch } from "../dom";
import { VEILED } from "../facts";
import { cellName, number } from "../format";
import { bring } from "../host";
import { type CellMap, extent, peakCell } from "../maps";
import { type Method, methodsOf, specOf } from "../methods";
import type { State } from "../state";
import { legend } from "./legend";
import { pixelsOf, smallPictures } from "./small";

const SCALINGS: { value: Scaling; label: string; title: string }[] = [
  { value: "own", label: "each map", title: "From its own least to its largest value" },
  { value: "method", label: "each method", title: "A method’s words together; its map of the whole answer by itself" },
  { value: "share", label: "all", title: "Shares of each map’s positive energy" },
];

/** Hidden where there is but one method; `b` is what the view is compared with. */
export function methodsTable(s: State, b: Signal<string>): HTMLElement {
  const scaling = signal<Scaling>("own");
  const controls = signal(true);
  const isControl = (method: Method) => specOf(s.e, method)?.control ?? false;
  const shown = computed(() => methodsOf(s.e).filter((method) => controls.value || !isControl(method)));
  const place = el("div", {});
  fill(
    place,
    () => shown.value.join("\n"),
    () => table(s, shown.peek(), scaling, b),
  );
  const toggle = checkbox("Chance controls", bind(controls));
  const all = el(
    "section",
    { class: "methods", "aria-label": "Words and methods" },
    el("h2", {}, "Every word, every method"),
    el(
      "div",
      { class: "row" },
      el(
        "span",
        { class: "field" },
        el("span", { class: "hint" }, "One scale for"),
        segmented("One scale for", SCALINGS, bind(scaling)),
      ),
      toggle,
    ),
    el("p", { class: "hint" }, "Choose a map: its word is shown, and its method is B below."),
    place,
  );
  watch(() => {
    const every = methodsOf(s.e);
    all.hidden = every.length < 2;
    toggle.hidden = !every.some(isControl);
  });
  return all;
}

function table(s: State, methods: Method[], scaling: ReadonlySignal<Scaling>, b: Signal<string>): HTMLElement[] {
  const sheet = sheetOf(s, methods, scaling);
  const { rows, columns, common } = sheet;
  const cells = rows.map((row) => columns.map((column) => cellOf(s, row, column, b)));
  draw(s, sheet, cells);
  const grid = el(
    "table",
    { role: "grid", "aria-label": "Maps of words by methods" },
    el("thead", {}, el("tr", {}, el("td", {}), ...columns.map((column) => heading(s, column)))),
    el("tbody", {}, ...rows.map(({ text }, i) => el("tr", {}, el("th", { scope: "row" }, text), ...cells[i]!))),
    el("tfoot", {}, spans(columns, scaling), ...costs(s, columns)),
  );
  walk(grid, cells);
  const box = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Maps, words by methods" }, grid);
  const shares = legend(() => {
    const { scale } = common.value;
    const some = scaling.value === "share" && scale.high > scale.low;
    return some ? { ...common.value, unit: "share of the map’s energy" } : null;
  });
  return [box, shares];
}

/** Column by column: one that follows layers and filters is drawn anew by itself. */
function draw(s: State, { rows, columns }: Sheet, cells: readonly (readonly HTMLElement[])[]): void {
  const put = smallPictures(s);
  for (const [i, column] of columns.entries()) {
    watch(() => {
      if (s.host.connected.value) bring(s.host, s.e, columnParts(s, column.method));
    });
    watch(() => {
      const [maps, scales] = [column.maps.value, column.scales.value];
      for (const [at, { text }] of rows.entries()) {
        const [cell, map, scale] = [cells[at]![i]!, maps[at]!, scales[at]!];
        put(cell.querySelector("canvas")!, map && scale && scale.high > scale.low ? { map, scale } : null);
        tell(s, cell, `${text}, ${column.title}`, remark(s, column, map), map);
      }
    });
  }
}

function heading(s: State, { method, title }: Column): HTMLElement {
  const control = specOf(s.e, method)?.control;
  return el("th", { scope: "col" }, title, control ? el("span", { class: "hint" }, "control") : null);
}

function costs(s: State, columns: readonly Column[]): HTMLElement[] {
  const specs = columns.map(({ method }) => specOf(s.e, method));
  if (!specs.some(Boolean)) return [];
  return COSTS.map(({ label, title, say }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", title }, label),
      ...specs.map((spec) => el("td", {}, spec ? say(spec) : "–")),
    ),
  );
}

/** The ends of each method's scale, where its words have one. */
function spans(columns: readonly Column[], scaling: ReadonlySignal<Scaling>): HTMLElement {
  const ends = columns.map(() => el("td"));
  const row = el("tr", {}, el("th", { scope: "row" }, "Scale"), ...ends);
  watch(() => {
    row.hidden = scaling.value !== "method";
    for (const [i, { scales }] of columns.entries()) {
      const scale = row.hidden ? null : scales.value.slice(1).find(Boolean);
      ends[i]!.textContent = scale ? spanOf(scale) : "–";
    }
  });
  return row;
}

const spanOf = ({ low, high }: Scale): string =>
  low === -high ? `± ${number(high)}` : `${number(low)} – ${number(high)}`;

/** One map; to choose it is to choose its word, and its method to compare with. */
function cellOf(s: State, { entries }: Row, { method }: Column, b: Signal<string>): HTMLElement {
  const canvas = el("canvas", { ...pixelsOf(s.e), "aria-hidden": "true" });
  const cell = el("td", { role: "gridcell", tabindex: -1 }, canvas, el("span"));
  const act = () => {
    s.chosen.value = entries;
    if (method !== s.shown.value.method) b.value = rivalOf(method);
  };
  cell.addEventListener("click", act);
  cell.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });
  watch(() => {
    const { chosen, method: a } = s.shown.value;
    const here = String(chosen) === String(entries) && (method === a || b.value === rivalOf(method));
    setAll(cell, { "aria-selected": String(here) });
  });
  return cell;
}

/** What stands in a cell that shows no differences, and how it is said. */
const REMARKS = {
  "as above": "as above, one map for the whole answer.",
  none: "none.",
  empty: "empty.",
  even: "even, the same value everywhere.",
};

function remark({ e }: State, { method }: Column, map: CellMap | null): keyof typeof REMARKS | null {
  if (!map) return specOf(e, method)?.whole ? "as above" : "none";
  const [low, high] = extent(map);
  return low < high ? null : low === 0 ? "empty" : "even";
}

/** A cell in words and as data attributes. */
function tell(s: State, cell: HTMLElement, name: string, short: ReturnType<typeof remark>, map: CellMap | null): void {
  const words = short ? REMARKS[short] : `peak at ${cellName(s.e, peakCell(map!))}.`;
  const said = `${name}: ${s.veiled.value ? VEILED : words}`;
  setAll(cell, { "aria-label": said, title: said });
  cell.lastElementChild!.textContent = s.veiled.value ? "" : short;
  cell.querySelector("canvas")!.dataset.sum = map ? String(map.reduce((a, b) => a + b, 0)) : "";
}

/** Arrow keys move from map to map; one of them is in the order of tabs. */
function walk(grid: HTMLElement, cells: readonly (readonly HTMLElement[])[]): void {
  const hold = (at: number, count: number) => Math.max(0, Math.min(count - 1, at));
  cells[0]![0]!.tabIndex = 0;
  grid.addEventListener("focusin", ({ target }) => {
    for (const cell of cells.flat()) cell.tabIndex = cell === target ? 0 : -1;
  });
  grid.addEventListener("keydown", (event) => {
    const move = ARROWS[event.key];
    const row = cells.findIndex((all) => all.includes(event.target as HTMLElement));
    if (!move || row < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const line = cells[hold(row + move[0], cells.length)]!;
    const next = line[hold(cells[row]!.indexOf(event.target as HTMLElement) + move[1], line.length)]!;
    next.focus({ preventScroll: true });
    next.scrollIntoView?.({ block: "nearest", inline: "nearest" }); // focus alone leaves what is seen in part
  });
}
