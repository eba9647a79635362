import { describe, expect, it } from "vitest";
import { type BlockSpec, fromBase64, readBlocks } from "../src/tensor";
import { open } from "../src/wire";
import { golden } from "./golden";

const float = (name: string, offset: number, count: number, scale?: string): BlockSpec => ({
  name,
  dtype: "f4",
  shape: [count],
  offset,
  ...(scale ? { scale } : {}),
});

describe("blocks", () => {
  it("are read from bytes that begin at an odd address", () => {
    const bytes = new Uint8Array(9);
    new DataView(bytes.buffer).setFloat32(1, 1.5, true);
    new DataView(bytes.buffer).setFloat32(5, -2, true);
    const blocks = readBlocks(bytes.subarray(1), [float("a", 0, 2)]);
    expect([...blocks.get("a")!.data]).toEqual([1.5, -2]);
  });

  it("have one scale per run of values", () => {
    const bytes = new Uint8Array(12);
    new DataView(bytes.buffer).setFloat32(0, 0.5, true);
    new DataView(bytes.buffer).setFloat32(4, 2, true);
    bytes.set([1, 2, 3, 4], 8);
    const maps: BlockSpec = { name: "maps", dtype: "u1", shape: [2, 2], offset: 8, scale: "scale" };
    const block = readBlocks(bytes, [float("scale", 0, 2), maps]).get("maps")!;
    expect([...block.data].map((value, i) => value * block.scale![Math.floor(i / block.inner)]!)).toEqual([
      0.5, 1, 6, 8,
    ]);
  });

  it("that end past the payload, have no type or no scale are refused in words", () => {
    const bytes = new Uint8Array(8);
    expect(() => readBlocks(bytes, [float("a", 4, 2)])).toThrow("ends at byte 12 of 8; was the file cut short?");
    const odd = { ...float("a", 0, 1), dtype: "f9" } as unknown as BlockSpec;
    expect(() => readBlocks(bytes, [odd])).toThrow("unknown type “f9”");
    expect(() => readBlocks(bytes, [float("a", 0, 1, "b")])).toThrow("misses its scale “b”");
  });
});

describe("an explanation", () => {
  const { document, payload } = golden("ordinary");

  it("of another kind or version is refused in words", () => {
    expect(() => open({ ...document, format: "x" }, fromBase64(payload))).toThrow("no explanation");
    expect(() => open({ ...document, version: 3 }, fromBase64(payload))).toThrow("format version 3, this page reads 2");
  });

  it("that was cut short is refused", () => {
    expect(() => open(document, fromBase64(payload).subarray(0, 100))).toThrow("cut short");
  });
});
