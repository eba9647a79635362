/** All panels. A new one is its file and a line in `TABS`. */

import type { State } from "../state";
import type { LessonStep } from "../wire";
import { comparePanel } from "./compare";
import { exportPanel } from "./export";
import { failuresPanel } from "./failures";
import { filtersPanel } from "./filters";
import { flowPanel } from "./flow";
import { headsPanel } from "./heads";
import { teachPanel } from "./teach";

export { askPanel } from "./ask";
export { imagePanel } from "./image";
export { layersPanel } from "./layers";
export { toolbar } from "./toolbar";
export { wordsPanel } from "./words";

/** Panels that take turns in one place. */
export const TABS: { name: string; build(s: State, lesson: readonly LessonStep[]): HTMLElement }[] = [
  { name: "Filters", build: filtersPanel },
  { name: "Heads", build: headsPanel },
  { name: "Flow", build: flowPanel },
  { name: "Failures", build: failuresPanel },
  { name: "Compare", build: comparePanel },
  { name: "Export", build: exportPanel },
  { name: "Teach", build: teachPanel },
];
