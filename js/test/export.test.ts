// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { markup, svgOf, wrap } from "../src/figure";
import { pageHost } from "../src/host";
import { csvOf } from "../src/numbers";
import { createState, type State } from "../src/state";
import { explanation, golden } from "./golden";

const HOSTILE = '<script>alert("1")</script>,\n"two"';

function state(name = "ordinary"): State {
  const s = createState([explanation(name)], pageHost());
  s.display.value = { ...s.display.value, smooth: false };
  return s;
}

describe("numbers for a table", () => {
  it("are the map's, one per row, by row and column", () => {
    const s = state();
    const rows = csvOf(s).split("\n");
    const cells = rows.filter((row) => row.startsWith("map,")).map((row) => row.split(","));
    expect(cells.map((row) => Number(row[7]))).toEqual([...s.map.value]);
    expect(cells.map((row) => [Number(row[5]), Number(row[6])])).toEqual(
      Array.from({ length: 12 }, (_, cell) => [Math.floor(cell / 4), cell % 4]),
    );
  });

  it("have every shown step's weights, by true indices", () => {
    const s = state();
    s.chosen.value = [1, 2];
    s.from.value = 1;
    const rows = csvOf(s).split("\n");
    const of = (name: string) => rows.filter((row) => row.startsWith(`${name},`));
    expect(of("step_weights")).toEqual(
      [1, 2].map((step) => `step_weights,"${["", "red", "suitcase"][step]}",${step},,,,,${s.weights.value[step]}`),
    );
    expect(of("head_weights").map((row) => row.split(",").slice(2, 5).join(" "))).toEqual(
      [1, 2].flatMap((step) => [1, 2].flatMap((layer) => [0, 1].map((head) => `${step} ${layer} ${head}`))),
    );
    const { headWeights } = golden("ordinary").expected[0]!;
    const wanted = [1, 2].flatMap((step) => headWeights.slice(step * 6 + 2, step * 6 + 6));
    of("head_weights").forEach((row, i) => {
      expect(Number(row.split(",")[7])).toBeCloseTo(wanted[i]!, 6);
    });
  });

  it("keep hostile words in quotes and hostile answers on one line", () => {
    const s = state();
    s.e.header.words[1]!.text = HOSTILE;
    s.e.header.answer = HOSTILE;
    s.chosen.value = [1];
    const table = csvOf(s);
    expect(table).toContain(`# answer: ${JSON.stringify(HOSTILE)}\n`);
    expect(table).toContain('"<script>alert(""1"")</script>,\n""two"""');
  });
});

describe("the figure", () => {
  const draw = (s: State) => svgOf(s, document.createElement("canvas"));

  it("has one rectangle per cell, in the image's pixels, with its value", () => {
    const s = state("three_to_one");
    const cells = [...draw(s).querySelectorAll("g g rect")];
    expect(cells.map((cell) => Number(cell.textContent))).toEqual([...s.map.value]);
    expect(cells[7]!.getAttribute("x")).toBe("25");
    expect(cells[7]!.getAttribute("y")).toBe("15");
    expect(cells[7]!.getAttribute("width")).toBe("10");
  });

  it("says scale, words, question and settings in text", () => {
    const s = state();
    s.chosen.value = [1];
    s.headFilter.value = "none";
    const text = [...draw(s).querySelectorAll("text")].map((line) => line.textContent).join(" | ");
    expect(text).toContain("logit per unit of attention");
    expect(text).toContain("“red” | what is it → a red suitcase.");
    expect(text).toContain("layers 0–2, head filter none");
  });

  it("marks a scale that ends below the largest value", () => {
    const s = state();
    s.display.value = { ...s.display.value, clip: 50 };
    expect(draw(s).textContent).toContain("≥ ");
    s.display.value = { ...s.display.value, clip: 100 };
    expect(draw(s).textContent).not.toContain("≥ ");
  });

  it("holds hostile text as text, and no character that XML forbids", () => {
    const s = state();
    s.e.header.answer = `${HOSTILE}\u0000\u000b`;
    const figure = draw(s);
    expect(figure.querySelector("script")).toBeNull();
    const found = markup(figure);
    expect(found).toContain("&lt;script&gt;");
    expect(found).not.toContain("<script");
    expect(found).not.toMatch(/\p{Cc}/u);
  });

  it("has the drawn region's outline", () => {
    const s = state();
    s.region.value = [1, 2, 5, 6];
    expect(draw(s).querySelector("path")!.getAttribute("d")).toBe("M1 2H5V6H1Z");
    s.region.value = [
      [1, 1],
      [4, 1],
      [2, 3],
    ];
    expect(draw(s).querySelector("path")!.getAttribute("d")).toBe("M1,1L4,1L2,3Z");
  });

  it("breaks its caption between words, and words that are too long", () => {
    expect(wrap("one two three", 8)).toEqual(["one two", "three"]);
    expect(wrap("abcdefghij", 8)).toEqual(["abcdefgh", "ij"]);
    expect(wrap("日本語 語", 8)).toEqual(["日本語", "語"]);
  });
});
