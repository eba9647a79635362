/** Light or dark as the page around the widget is, whatever the host calls its themes. */

import { el, penOf } from "./dom";

/** Keep an element's colour scheme that of its surroundings; the result stops it. */
export function followTheme(root: HTMLElement): () => void {
  const page = root.ownerDocument;
  const set = () => {
    root.style.colorScheme = isDark(root) ? "dark" : "light";
  };
  const observer = new MutationObserver(set);
  for (const node of [page.documentElement, page.body])
    observer.observe(node, {
      attributes: true,
      attributeFilter: ["class", "style", "data-jp-theme-name", "data-theme"],
    });
  const late = setTimeout(set, 300); // a host's new style sheet may load after its name changes
  const system = matchMedia("(prefers-color-scheme: dark)");
  page.addEventListener("load", set, true);
  system.addEventListener("change", set);
  queueMicrotask(set);
  return () => {
    observer.disconnect();
    clearTimeout(late);
    page.removeEventListener("load", set, true);
    system.removeEventListener("change", set);
  };
}

/** Whether the first opaque background around the element is dark; the system's own choice where none is. */
function isDark(root: HTMLElement): boolean {
  const pen = penOf(el("canvas", { width: 1, height: 1 }));
  for (let node = parentOf(root); pen && node; node = parentOf(node)) {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = getComputedStyle(node).backgroundColor; // a canvas knows every way to write a colour
    pen.fillRect(0, 0, 1, 1);
    const [red = 0, green = 0, blue = 0, alpha = 0] = pen.getImageData(0, 0, 1, 1).data;
    if (alpha > 127) return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The element around another one, also where that is the edge of a shadow tree. */
const parentOf = (node: Element): Element | null =>
  node.parentElement ?? (node.getRootNode() as ShadowRoot).host ?? null;
