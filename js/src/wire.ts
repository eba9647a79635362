/** The document as Python's `wire.py` and `parts.py` encode it; they and this file change together. */

import { type Signal, signal } from "@preact/signals-core";
import type { Result } from "./results";
import { type Block, type BlockSpec, readBlocks } from "./tensor";
import type { Traits } from "./traits";

export const VERSION = 2;

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

export interface Picture {
  src: string;
  width: number;
  height: number;
}

/** [left, top, right, bottom] or a polygon of [x, y], in pixels of the original image. */
export type Outline = [number, number, number, number] | [number, number][];

/** An outline that was drawn, or the name of one of the header's regions. */
export type Region = Outline | string;

export interface NamedRegion {
  name: string;
  outline: Outline | null;
  /** Share of each cell that is covered. */
  coverage: number[];
}

/** What another method gave of the answer: its maps are the blocks `method/NAME`, and `method/NAME/answer` of all of it. */
export interface MethodSpec {
  name: string;
  title: string;
  unit: string;
  /** Its map knows nothing of the model. */
  control: boolean;
  /** One map for the whole answer, and none of a single word. */
  whole: boolean;
  /** Words' maps were scaled to 0–1 before they were summed. */
  minmaxed: boolean;
  /** True indices of the steps that its maps are of. */
  steps: number[];
  /** What it takes alone, the answer included; and the part of it that no other method could share. */
  seconds: number;
  own: number;
  peakBytes: number | null;
  forwards: number;
  backwards: number;
}

export interface Header {
  title: string;
  prompt: string;
  /** The user’s own words of it. */
  question: string;
  answer: string;
  notices: string[];
  image: Picture;
  grid: { rows: number; cols: number; box: [number, number, number, number] };
  /** True index of every step, layer that the blocks hold. */
  steps: number[];
  layers: number[];
  heads: number;
  /** All steps of the answer, explained or not. */
  pieces: string[];
  logProbs: number[];
  words: Word[];
  /** Text tokens: position → [piece, kind]. */
  tokens: Record<string, [string, string]>;
  textSets: string[];
  levels: Exclude<Level, "none">[];
  presets: Partial<Record<Preset, PresetSpec>>;
  preset: Preset;
  keep: "full" | "visual" | "summary";
  /** Whether attention rows were kept. */
  attention: boolean;
  /** Other methods that gave maps of this answer; more may come while it is shown. */
  methods: MethodSpec[];
  /** Text of the ids in `lens/top`. */
  lensWords: Record<string, string>;
  /** Cells that may be register tokens, and what was found or why nothing can be. */
  outliers: { cells: number[]; text: string };
  regions: NamedRegion[];
  /** Parts that a view opens with, and the blocks of those that came along. */
  opening: string[];
  blocks: BlockSpec[];
  provenance: Record<string, string>;
}

/** One step of a lesson: a caption, a view to set, and perhaps a guess to make before the map is shown. */
export interface LessonStep {
  text: string;
  state?: Partial<Traits>;
  lock?: boolean;
  quiz?: { question: string; choices?: string[]; answer?: number | [number, number, number, number] };
}

export interface Document {
  format: string;
  version: number;
  sources: Header[];
  view: Partial<Traits>;
  lesson: LessonStep[];
  results?: Result[];
}

export interface Explanation {
  header: Header;
  /** Its place among the document's sources. */
  source: number;
  blocks: Map<string, Block>;
  /** Counts up when blocks or methods arrive, or blocks are forgotten; read it to follow them. */
  revision: Signal<number>;
  /** Entries along the axes of every block. */
  size: { steps: number; layers: number; heads: number; cells: number };
  /** Entry of each explained step. */
  entryOf: Map<number, number>;
}

export function open(document: Document, payload: Uint8Array): Explanation[] {
  if (document?.format !== "dexar_widgets") throw new Error("This is no explanation written by dexar_widgets.");
  if (document.version !== VERSION)
    throw new Error(
      `The data have format version ${document.version}, this page reads ${VERSION}; write the page again with the version that made the data.`,
    );
  return document.sources.map((header, source) => ({
    header,
    source,
    blocks: readBlocks(payload, header.blocks),
    revision: signal(0),
    size: {
      steps: header.steps.length,
      layers: header.layers.length,
      heads: header.heads,
      cells: header.grid.rows * header.grid.cols,
    },
    entryOf: new Map(header.steps.map((step, entry) => [step, entry])),
  }));
}

/** How many bytes of single steps' gradients are kept; the least recently added go first. */
export const TENSOR_BYTES = 64e6;

/** Take in a part that was asked for. */
export function receive(e: Explanation, specs: BlockSpec[], payload: Uint8Array): void {
  for (const [name, block] of readBlocks(payload, specs)) {
    e.blocks.delete(name);
    e.blocks.set(name, block);
  }
  forget(e);
  e.revision.value++;
}

/** Whether a document differs from what is open in nothing but the methods that gave maps. */
export function isGrown(sources: readonly Explanation[], document: Document): boolean {
  const others = ({ methods, opening, blocks, ...header }: Header) => header;
  const opened = sources.map(({ header }) => others(header));
  return JSON.stringify(document.sources.map(others)) === JSON.stringify(opened);
}

/** Take in the methods of such a document, and their maps as far as it holds them. */
export function grow(sources: readonly Explanation[], document: Document, payload: Uint8Array): void {
  for (const [i, grown] of open(document, payload).entries()) {
    const e = sources[i]!;
    e.header.methods = grown.header.methods;
    for (const [name, block] of grown.blocks) if (name.startsWith("method/")) e.blocks.set(name, block);
    e.revision.value++;
  }
}

function forget(e: Explanation): void {
  const steps = [...e.blocks].filter(([name]) => name.startsWith("tensor/") && !name.endsWith("/scale"));
  let bytes = steps.reduce((sum, [, { data }]) => sum + data.byteLength, 0);
  for (const [name, { data }] of steps.slice(0, -1)) {
    if (bytes <= TENSOR_BYTES) return;
    e.blocks.delete(name);
    bytes -= data.byteLength;
  }
}

/** A block that must be there. */
export function need(e: Explanation, name: string): Block {
  const block = e.blocks.get(name);
  if (!block) throw new Error(`The data lack the block “${name}”.`);
  return block;
}

/** One value of a block, scaled. */
export const valueAt = (block: Block, at: number): number =>
  block.data[at]! * (block.scale?.[Math.floor(at / block.inner)] ?? 1);
