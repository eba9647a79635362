/** Take away what is shown: as a picture, as numbers, as a page, as code. */

import { signal } from "@preact/signals-core";
import { button, el, newId, setAll, watch } from "../dom";
import { save } from "../download";
import { layersOf, modelOf, shownSide, VEILED, wordsOf } from "../facts";
import { markup, pngOf, svgOf } from "../figure";
import { readyMade } from "../methods";
import { csvOf, npzOf } from "../numbers";
import { pythonOf } from "../python";
import { nameOf, type State } from "../state";
import { readTraits } from "../traits";

interface Kind {
  suffix: string;
  label: string;
  text: string;
  type: string;
  make(s: State, panel: Element): BlobPart | Promise<BlobPart>;
}

const figure = (s: State, panel: Element): SVGElement =>
  svgOf(s, panel.closest(".dexar")!.querySelector<HTMLCanvasElement>(".image .stage canvas")!);

const KINDS: Kind[] = [
  {
    suffix: "png",
    label: "PNG",
    text: "the picture in the image’s own pixels, with legend and settings",
    type: "image/png",
    make: (s, panel) => pngOf(figure(s, panel)),
  },
  {
    suffix: "svg",
    label: "SVG",
    text: "the same for papers: text stays text, and with cells every cell is a shape",
    type: "image/svg+xml",
    make: (s, panel) => markup(figure(s, panel)),
  },
  {
    suffix: "csv",
    label: "CSV",
    text: "the map and the weights behind it, one number per row, settings on top",
    type: "text/csv",
    make: csvOf,
  },
  {
    suffix: "npz",
    label: "NPZ",
    text: "the same numbers as arrays, for numpy.load",
    type: "application/zip",
    make: npzOf,
  },
  {
    suffix: "html",
    label: "HTML",
    text: "this view as one file that works offline",
    type: "text/html",
    make: pageOf,
  },
];

export function exportPanel(s: State): HTMLElement {
  const said = signal("");
  const status = el("p", { role: "status" });
  const panel = el("section", { class: "export", "aria-label": "Export" });
  const buttons = KINDS.map((kind) => {
    const made = button(kind.label, async () => {
      const name = fileName(s, kind.suffix);
      try {
        save(name, await kind.make(s, panel), kind.type);
        said.value = `Saved as ${name}.`;
      } catch (error) {
        said.value = `Not saved. ${(error as Error).message}`;
      }
    });
    watch(() => setAll(made, { disabled: blocked(s, kind) !== "" }));
    return made;
  });
  watch(() => {
    status.textContent = blocked(s, KINDS[0]!) || said.value;
  });
  panel.append(
    el("h2", {}, "Export what is shown"),
    ...KINDS.map(({ text }, i) => el("p", {}, buttons[i], el("span", { class: "hint" }, text))),
    ...python(s, said),
    status,
  );
  return panel;
}

/** Why a file cannot be made now; empty if it can. */
function blocked(s: State, { suffix }: Kind): string {
  if (s.veiled.value) return VEILED;
  if (suffix === "html") return s.host.connected.value || ownPage() ? "" : "A page needs the kernel.";
  return s.shown.value.missing?.length === 0
    ? ""
    : "The numbers for this choice are not here, so nothing can be saved.";
}

function python(s: State, said: { value: string }): HTMLElement[] {
  const id = newId("python");
  const code = el("textarea", { id, readonly: true, rows: 8, spellcheck: "false" });
  const copy = button("Copy as Python", async () => {
    try {
      await navigator.clipboard.writeText(code.value);
      said.value = "The code is in the clipboard.";
    } catch {
      code.focus();
      code.select();
      said.value =
        "The browser does not let this page write to the clipboard: the code is selected, copy it with Ctrl+C or ⌘C.";
    }
  });
  watch(() => {
    code.value = s.veiled.value ? "" : pythonOf(s);
  });
  return [
    el("p", {}, copy, el("label", { for: id, class: "hint" }, "computes this map and opens this view, given e")),
    code,
  ];
}

/** The data of the offline page that this view is in, if it is in one. */
const ownPage = (): HTMLElement | null => document.querySelector("script#document[type='application/json']");

/** The kernel's page of this view, or this page once more, opening where the view is now. */
async function pageOf(s: State): Promise<BlobPart> {
  if (!ownPage()) return (await s.host.page()) as BlobPart;
  const page = document.documentElement.cloneNode(true) as HTMLElement;
  page.querySelector("#view")!.replaceChildren();
  const content = page.querySelector("#document")!;
  const json = JSON.stringify({ ...JSON.parse(content.textContent!), view: readTraits(s) });
  content.textContent = json.replaceAll("<", "\\u003c");
  return `<!doctype html>\n${page.outerHTML}`;
}

/** Model, words and settings, in characters that every file system takes. */
function fileName(s: State, suffix: string): string {
  const side = shownSide(s);
  const [first, last] = layersOf(side);
  const { options: o, method } = side;
  const settings = method === "dexar" ? `${nameOf(o.headFilter)}-${o.preset}` : method;
  const layers = readyMade(s.e, method) ? "" : `layers${first}-${last}`;
  const parts = [modelOf(s.e), wordsOf(side), layers, settings];
  const safe = parts.map((part) => part.replace(/[^\p{L}\p{N}.]+/gu, "-").replace(/^[-.]+|[-.]+$/g, ""));
  return `${safe
    .map((part) => part.slice(0, 40))
    .filter(Boolean)
    .join("_")}.${suffix}`;
}
