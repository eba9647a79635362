/** The offline page: the data are in it, there is no kernel and no network. */

import style from "./style.css";
import { fromBase64 } from "./tensor";
import { complain, mount } from "./view";
import { type Header, open } from "./wire";

const root = document.getElementById("view")!;
const sheet = new CSSStyleSheet();
sheet.replaceSync(style);
document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

try {
  const text = (id: string): string => document.getElementById(id)?.textContent ?? "";
  mount(root, open(JSON.parse(text("header")) as Header, fromBase64(text("payload"))));
} catch (error) {
  complain(root, error);
}
