/** The offline page: the data are in it, there is no kernel and no network. */

import { pageHost } from "./host";
import { createState } from "./state";
import style from "./style.css";
import { fromBase64 } from "./tensor";
import { writeTraits } from "./traits";
import { complain, mount } from "./view";
import { type Document, open } from "./wire";

const root = document.getElementById("view")!;
const sheet = new CSSStyleSheet();
sheet.replaceSync(style);
document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

try {
  const text = (id: string): string => document.getElementById(id)?.textContent ?? "";
  const content = JSON.parse(text("document")) as Document;
  const s = createState(open(content, fromBase64(text("payload"))), pageHost(), content.results);
  if (content.lesson.length) s.tab.value = "Teach";
  writeTraits(s, content.view);
  mount(root, s, content.lesson);
} catch (error) {
  complain(root, error);
}
