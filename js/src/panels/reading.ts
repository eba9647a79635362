/** The map in words: as a whole, and cell by cell. */

import { VEILED } from "../facts";
import { headsElsewhere } from "../filters";
import { cellName, number, percent, place } from "../format";
import { extent, halfEnergyCells, peakCell, rankOf, topHeads } from "../maps";
import { readyMade } from "../methods";
import { cellBox, energyInside } from "../region";
import type { State } from "../state";

/** What the map shows, in a few sentences. */
export function summary(s: State): string {
  const { missing } = s.shown.value;
  if (s.veiled.value) return VEILED;
  if (missing === null)
    return 'The numbers for this choice were not kept: explain again with keep="full", or choose fewer words.';
  return (missing.length ? `${waiting(s)} ` : "") + ofMap(s);
}

function waiting({ host }: State): string {
  if (!host.connected.value) return "The numbers for this choice are not in this copy; this is the map before it.";
  return host.problem.value
    ? "The numbers for this choice did not come; this is the map before it."
    : "The numbers for this choice are on their way; this is still the map before it.";
}

function ofMap(s: State): string {
  const map = s.map.value;
  const [low, high] = extent(map);
  if (low === 0 && high === 0) return emptiness(s);
  if (low === high) return "The map has the same value everywhere: it points at nothing.";
  const cell = peakCell(map);
  const cover = s.coverage.value;
  return (
    `Peak ${number(map[cell]!)} at ${cellName(s.e, cell)}, ${place(s.e, cell)}. ` +
    `Half of the map’s energy lies in ${halfEnergyCells(map)} of ${map.length} cells.` +
    (cover ? ` The region holds ${percent(energyInside(map, cover))} of it.` : "")
  );
}

function emptiness(s: State): string {
  const ready = readyMade(s.e, s.shown.value.method);
  if (ready) return `The map is empty: ${ready.title} finds nothing in the image here.`;
  if (headsElsewhere(s.e, s.options.value))
    return "The map is empty: none of the chosen heads is in these layers. “All heads” in the Heads tab brings the others back.";
  if (s.counts.value.kept === 0)
    return "The map is empty: in the chosen layers no head reads more from the image than from the text. Turn the head filter off to see what was there.";
  if (!s.chosen.value.length)
    return "The map is empty: every word of the answer is silenced. Turn the filler filter off to see what was there.";
  return "The map is empty: no positive gradient reaches the image here.";
}

/** One cell: where it is, its value and rank, and the heads that contribute most. */
export function reading(s: State, cell: number): string {
  const [x, y, wide, high] = cellBox(s.e.header, cell);
  const parts = [
    cellName(s.e, cell),
    `pixels ${Math.round(x)}–${Math.round(x + wide)} × ${Math.round(y)}–${Math.round(y + high)}`,
  ];
  if (s.veiled.value) return parts.join(" · ");
  const map = s.map.value;
  parts.splice(1, 0, number(map[cell]!), `rank ${rankOf(map, cell)} of ${map.length}`);
  const { chosen, method, options } = s.shown.value;
  s.e.revision.value;
  const heads = method === "dexar" && chosen.length ? topHeads(s.e, chosen, cell, options, 2) : [];
  return [...parts, ...heads.map((h) => `layer ${s.e.header.layers[h.layer]} head ${h.head} ${percent(h.share)}`)].join(
    " · ",
  );
}
