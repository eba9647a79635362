/** All panels. A new one is its file and a line in `TABS`. */

import type { State } from "../state";
import type { LessonStep } from "../wire";
import { filtersPanel } from "./filters";

export { askPanel } from "./ask";
export { imagePanel } from "./image";
export { layersPanel } from "./layers";
export { toolbar } from "./toolbar";
export { wordsPanel } from "./words";

/** Panels that take turns in one place. */
export const TABS: { name: string; build(s: State, lesson: readonly LessonStep[]): HTMLElement }[] = [
  { name: "Filters", build: filtersPanel },
];
