/** The explanation as Python's `wire.py` encodes it; this file and that one change together. */

import { type Block, type BlockSpec, readBlocks } from "./tensor";

export const VERSION = 1;

/** `max`, `none`, `avg`, or the share of values whose mean is taken. */
export type Level = "max" | "none" | "avg" | number;
export type Preset = "paper" | "released";

export interface PresetSpec {
  /** Layer entries, first and last included. */
  layers: [number, number];
  textSet: string;
}

export interface Word {
  text: string;
  steps: number[];
}

export interface Header {
  format: string;
  version: number;
  title: string;
  prompt: string;
  answer: string;
  notices: string[];
  image: { src: string; width: number; height: number };
  grid: { rows: number; cols: number; box: [number, number, number, number] };
  /** True index of every step, layer that the blocks hold. */
  steps: number[];
  layers: number[];
  heads: number;
  /** All steps of the answer, explained or not. */
  pieces: string[];
  words: Word[];
  /** Text tokens that won somewhere: position → [piece, kind]. */
  tokens: Record<string, [string, string]>;
  textSets: string[];
  levels: Exclude<Level, "none">[];
  presets: Partial<Record<Preset, PresetSpec>>;
  preset: Preset;
  blocks: BlockSpec[];
  provenance: Record<string, string>;
}

export interface Explanation {
  header: Header;
  blocks: Map<string, Block>;
  /** Entries along the axes of every block. */
  size: { steps: number; layers: number; heads: number; cells: number };
  /** Entry of each explained step. */
  entryOf: Map<number, number>;
}

export function open(header: Header, payload: Uint8Array): Explanation {
  if (header?.format !== "dexar_widgets") throw new Error("This is no explanation written by dexar_widgets.");
  if (header.version !== VERSION)
    throw new Error(
      `The data have format version ${header.version}, this page reads ${VERSION}; write the page again with the version that made the data.`,
    );
  const { rows, cols } = header.grid;
  const size = {
    steps: header.steps.length,
    layers: header.layers.length,
    heads: header.heads,
    cells: rows * cols,
  };
  return {
    header,
    blocks: readBlocks(payload, header.blocks),
    size,
    entryOf: new Map(header.steps.map((step, entry) => [step, entry])),
  };
}

/** A block that must be there. */
export function need(e: Explanation, name: string): Block {
  const block = e.blocks.get(name);
  if (!block) throw new Error(`The data lack the block “${name}”.`);
  return block;
}
