import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ColourName, gradient, indexOf, paint, scaleOf, table } from "../src/colour";
import { listed, number, piece } from "../src/format";
import { halfEnergyCells, minmax, peakCell, percentile, rankOf, sumMap, tokenMap, upsample } from "../src/maps";
import { difference, explanation, folder, golden, optionsOf, quantised } from "./golden";

const map = (...values: number[]): Float64Array => Float64Array.from(values);

describe("a map", () => {
  it("of one value min–maxes to zeros", () => {
    expect([...minmax(map(3))]).toEqual([0]);
    expect([...minmax(map(1, 3, 2))]).toEqual([0, 1, 0.5]);
  });

  it("names its first largest cell, shares ranks among equals, and counts the cells with half its energy", () => {
    const values = map(1, 5, 5, 3, -9);
    expect(peakCell(values)).toBe(1);
    expect([0, 1, 2, 3].map((cell) => rankOf(values, cell))).toEqual([4, 1, 1, 3]);
    expect(halfEnergyCells(values)).toBe(2);
    expect(halfEnergyCells(map(0, 0))).toBe(0);
  });

  it("has percentiles between neighbouring values, as NumPy has them", () => {
    expect([0, 25, 50, 90, 100].map((at) => percentile([4, 1, 3, 2], at))).toEqual([1, 1.75, 2.5, 3.7, 4]);
    expect(percentile([7], 90)).toBe(7);
  });

  it("of several layers is the sum of each layer's, whichever come first", () => {
    const e = quantised(explanation("twelve_layers"));
    const o = optionsOf(golden("twelve_layers").expected[1]!);
    for (const layers of [
      [0, 11],
      [3, 7],
      [10, 11],
    ] as [number, number][]) {
      const each = Array.from({ length: layers[1] - layers[0] + 1 }, (_, i) => layers[0] + i);
      const single = each.map((at) => tokenMap(e, 1, { ...o, layers: [at, at] }));
      const total = Array.from(single[0]!, (_, cell) => single.reduce((sum, one) => sum + one[cell]!, 0));
      expect(difference(tokenMap(e, 1, { ...o, layers }), total)).toBeLessThan(1e-12);
    }
  });

  it("of a layer without energy is exactly empty, also between layers that have some", () => {
    const e = quantised(explanation("twelve_layers"));
    const { cells } = e.size;
    e.blocks.get("maps/none")!.data.fill(0, 5 * cells, 7 * cells);
    const o = { ...optionsOf(golden("twelve_layers").expected[1]!), layers: [5, 6] as [number, number] };
    expect([...sumMap(e, [0], o)]).toEqual(new Array(cells).fill(0));
  });

  it("is upsampled between cell centres and held beyond them", () => {
    expect([...upsample(map(0, 1), 1, 2, 1, 4)]).toEqual([0, 0.25, 0.75, 1]);
    expect([...upsample(map(7), 1, 1, 2, 2)]).toEqual([7, 7, 7, 7]);
  });
});

describe("colours", () => {
  it("are Python's", () => {
    const tables = JSON.parse(readFileSync(join(folder, "colours/tables.json"), "utf8")) as Record<string, number[]>;
    for (const [name, colours] of Object.entries(tables)) {
      const found = table(name as ColourName);
      // A stop may lie half way between two integers, which the two languages round apart.
      expect(Math.max(...colours.map((value, i) => Math.abs(value - found[i]!)))).toBeLessThanOrEqual(1);
    }
  });

  it("run from the least to the largest value", () => {
    const scale = scaleOf([2, 6, 4], "cividis");
    expect(scale).toEqual({ colours: "cividis", low: 2, high: 6 });
    expect([2, 4, 6].map((value) => indexOf(value, scale))).toEqual([0, 128, 255]);
    expect([...table("cividis").slice(0, 3)]).toEqual([0x00, 0x22, 0x4e]);
    expect([...table("cividis").slice(-3)]).toEqual([0xfe, 0xe8, 0x38]);
  });

  it("of a signed map are symmetric about zero", () => {
    const scale = scaleOf([-1, 4], "cividis");
    expect(scale).toEqual({ colours: "blue_red", low: -4, high: 4 });
    expect(indexOf(0, scale)).toBe(128);
  });

  it("let the image through where values are low, if asked to", () => {
    const scale = scaleOf([0, 1], "cividis");
    expect([...paint([0, 1], scale, 0.5, false)].filter((_, i) => i % 4 === 3)).toEqual([128, 128]);
    const faded = [...paint([0, 1], scale, 0.5, true)].filter((_, i) => i % 4 === 3);
    expect(faded[0]).toBeLessThan(20);
    expect(faded[1]).toBe(128);
  });

  it("are a gradient that ends in the table's ends", () => {
    expect(gradient({ colours: "grey" })).toMatch(/rgb\(0 0 0\) 0\.0%.*rgb\(255 255 255\) 100\.0%/);
  });
});

describe("words and numbers", () => {
  it("have three digits", () => {
    expect([0, 1.23456, -0.0123456, 1e-9, 123456].map(number)).toEqual(["0", "1.23", "−0.0123", "1.00e−9", "1.23e5"]);
  });

  it("show a piece without the tokenizer's marks", () => {
    expect(["▁red", "Ġred", " red", "▁"].map(piece)).toEqual(["red", "red", "red", "␣"]);
  });

  it("are listed", () => {
    expect(listed(["a", "b", "c"])).toBe("a, b and c");
    expect(listed(["a", "b", "c"], 2)).toBe("a, b and 1 more");
  });
});
