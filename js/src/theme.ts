/** Light or dark as the page around the widget is, whatever the host calls its themes. */

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
  page.addEventListener("load", set, true);
  queueMicrotask(set);
  return () => {
    observer.disconnect();
    clearTimeout(late);
    page.removeEventListener("load", set, true);
  };
}

/** Whether the first opaque background around the element is dark. */
function isDark(root: HTMLElement): boolean {
  for (let node = root.parentElement; node; node = node.parentElement) {
    const parts =
      getComputedStyle(node)
        .backgroundColor.match(/[\d.]+/g)
        ?.map(Number) ?? [];
    const [red = 255, green = 255, blue = 255, alpha = 1] = parts;
    if (parts.length >= 3 && alpha > 0.5) return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
