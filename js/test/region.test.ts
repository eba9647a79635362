import { describe, expect, it } from "vitest";
import {
  boxOf,
  boxOfCells,
  cellAt,
  cellCoverage,
  cellsPath,
  coverageOf,
  energyInside,
  originOf,
  outlinePath,
  type Point,
  pointsAt,
} from "../src/region";
import type { Header } from "../src/wire";

/** Two rows of three cells, 10 × 10 pixels each, in the middle of an image of 50 × 20. */
const header = {
  image: { src: "", width: 50, height: 20 },
  grid: { rows: 2, cols: 3, box: [10, 0, 40, 20] },
  regions: [
    { name: "half", outline: null, coverage: [1, 0.6, 0, 0.2, 0, 0] },
    { name: "box", outline: [10, 0, 20, 10], coverage: [1, 0, 0, 0, 0, 0] },
  ],
} as unknown as Header;

const rounded = (values: Float64Array) => [...values].map((value) => Math.round(1000 * value) / 1000);

describe("what a region covers", () => {
  it("of a box is exact: 5 of 10 pixels across and 4 of 10 down", () => {
    expect(rounded(cellCoverage(header, [15, 6, 30, 20]))).toEqual([0.2, 0.4, 0, 0.5, 1, 0]);
  });

  it("of a box beside the grid is nothing", () => {
    expect(rounded(cellCoverage(header, [0, 0, 10, 20]))).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("of a lasso is measured on eight lines per row: a triangle is half a cell", () => {
    const triangle: Point[] = [
      [10, 0],
      [20, 0],
      [10, 10],
    ];
    expect(rounded(cellCoverage(header, triangle))).toEqual([0.5, 0, 0, 0, 0, 0]);
  });

  it("of a lasso that crosses itself is counted by the even–odd rule", () => {
    const bow: Point[] = [
      [10, 0],
      [30, 20],
      [30, 0],
      [10, 20],
    ];
    // two triangles that meet in the middle: each cell of the four is halved
    expect(rounded(cellCoverage(header, bow))).toEqual([0.5, 0.5, 0, 0.5, 0.5, 0]);
    const twice: Point[] = [...bow.slice(0, 2), [30, 20], ...bow.slice(2)];
    expect(rounded(cellCoverage(header, twice))).toEqual([0.5, 0.5, 0, 0.5, 0.5, 0]);
  });

  it("of a name is what Python counted, and null for a name that is unknown", () => {
    expect(rounded(coverageOf(header, "half")!)).toEqual([1, 0.6, 0, 0.2, 0, 0]);
    expect(coverageOf(header, "other")).toBeNull();
  });
});

describe("boxes", () => {
  it("are whole pixels inside the image, whichever way they were dragged", () => {
    expect(boxOf(header, [30.2, 12.7], [12.9, 3.1])).toEqual([12, 3, 31, 13]);
    expect(boxOf(header, [-5, -5], [99, 99])).toEqual([0, 0, 50, 20]);
  });

  it("have at least one pixel", () => {
    expect(boxOf(header, [50, 20], [50, 20])).toEqual([49, 19, 50, 20]);
    expect(boxOf(header, [7, 7], [7, 7])).toEqual([7, 7, 8, 8]);
  });

  it("of cells span both corners", () => {
    expect(boxOfCells(header, 4, 0)).toEqual([10, 0, 30, 20]);
    expect(boxOfCells(header, 5, 5)).toEqual([30, 10, 40, 20]);
  });
});

it("a point of the image lies in a cell or beside the grid", () => {
  expect([cellAt(header, [10, 0]), cellAt(header, [39.9, 19.9]), cellAt(header, [25, 5])]).toEqual([0, 5, 1]);
  expect([cellAt(header, [9.9, 0]), cellAt(header, [40, 0])]).toEqual([null, null]);
});

describe("borders", () => {
  it("go around cells, not between them", () => {
    const segments = (cells: number[]) => cellsPath(header, new Set(cells)).split("M").length - 1;
    expect([segments([0]), segments([0, 1]), segments([0, 3]), segments([0, 1, 3, 4])]).toEqual([4, 6, 6, 8]);
    expect(segments([2, 3])).toBe(8); // the end of a row and the beginning of the next do not touch
  });

  it("follow a box, a lasso, and the cells that a mask covers for the greater part", () => {
    expect(outlinePath(header, [1, 2, 3, 4])).toBe("M1 2H3V4H1Z");
    const triangle: Point[] = [
      [1, 2],
      [3, 4],
      [5, 6],
    ];
    expect(outlinePath(header, triangle)).toBe("M1,2L3,4L5,6Z");
    expect(outlinePath(header, "box")).toBe("M10 0H20V10H10Z");
    expect(outlinePath(header, "half")).toBe(cellsPath(header, new Set([0, 1])));
  });
});

it("energy inside is a share of the positive energy, unknown for an empty map", () => {
  const cover = Float64Array.of(0.2, 0.4, 0, 0.5, 1, 0);
  const map = Float64Array.of(1, 2, 3, 4, 0, -9);
  expect(energyInside(map, cover)).toBeCloseTo((0.2 + 0.8 + 2) / 10, 12);
  expect(energyInside(new Float64Array(6), cover)).toBeNaN();
});

describe("where a word comes from", () => {
  it("on the map is the side whose cells have twice the energy of the other's", () => {
    // a fifth of the area: a third of the energy is 2 times per cell, a ninth is half
    expect(pointsAt(1 / 3 + 0.001, 0.2)).toBe("inside");
    expect(pointsAt(1 / 3 - 0.001, 0.2)).toBeNull();
    expect(pointsAt(1 / 9 + 0.001, 0.2)).toBeNull();
    expect(pointsAt(1 / 9 - 0.001, 0.2)).toBe("outside");
    expect(pointsAt(1, 0.2)).toBe("inside");
    expect([pointsAt(Number.NaN, 0.2), pointsAt(1, 1), pointsAt(0, 0)]).toEqual([null, null, null]);
  });

  it.each([
    [0.1, 5.2, "inside", "comes from outside the region; the map points inside"],
    [0.1, 5.2, "outside", "comes from outside the region; the map says so"],
    [0.1, 5.2, null, "comes from outside the region; the map takes no side"],
    [1, 0.99, "inside", "comes from inside the region; the map says so"],
    [1, 0.99, "outside", "comes from inside the region; the map points outside"],
    [3, 3, "inside", "needs both the region and the rest"],
    [0.5, -0.5, "inside", "needs neither: text, or either side alone, is enough"],
  ] as const)("%d nats for the region and %d for the rest", (region, rest, map, said) => {
    expect(originOf(map, { log_prob: -2, hidden: -2 - region, kept: -2 - rest })).toBe(said);
  });
});
