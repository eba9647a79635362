import { describe, expect, it } from "vitest";
import { type Check, chanceText, pText, type Result, rarity, resultOf, resultsOf } from "../src/results";

const check = (region: [number, number, number, number]): Result => ({
  kind: "check",
  about: { region },
  how: "mean",
  checks: [],
});

describe("results", () => {
  it("are found by what they are about, however its fields are ordered", () => {
    const deletion = { kind: "deletion", about: { layers: [0, 3], steps: [1], method: "dexar" } } as unknown as Result;
    const all = [check([0, 0, 1, 1]), deletion];
    expect(resultOf(all, "check", { region: [0, 0, 1, 1] })).toBe(all[0]);
    expect(resultOf(all, "check", { region: [0, 0, 1, 2] })).toBeUndefined();
    expect(resultOf(all, "deletion", { steps: [1], method: "dexar", layers: [0, 3] })).toBe(deletion);
    expect(resultOf(all, "deletion", { steps: [1], method: "dexar", layers: [0, 2] })).toBeUndefined();
    expect(resultsOf(all, "finding")).toEqual([]);
  });

  it.each([
    [0.05, 19, "none of 19 random regions costs as much (p = 0.05)"],
    [0.1, 19, "1 of 19 random regions costs as much (p = 0.10)"],
    [1, 19, "19 of 19 random regions cost as much (p = 1.00)"],
  ])("p = %f of %i is put into words", (p, count, words) => {
    expect(rarity(p, count, "random regions")).toBe(words);
  });

  it("say what p means, where it can mean anything", () => {
    const say = (p: number | null, randoms: number, lost = 2) =>
      chanceText({ log_prob: -0.5, hidden: -0.5 - lost, p, randoms } as Check, "random regions");
    expect(say(null, 0)).toBe("");
    expect(say(0.05, 19)).toMatch(/p = 0\.05\)$/);
    expect(say(0.2, 4)).toMatch(/: too few to tell$/);
    expect(say(0.2, 19)).toMatch(/: no more than chance$/);
    expect([say(0.05, 19, 0.03), say(0.05, 19, -0.04)]).toEqual(["", ""]);
  });

  it("tell no p where nothing was lost or gained", () => {
    expect(pText(0.05, 0.06)).toBe("0.05");
    expect([pText(0.05, 0.01), pText(null, 3), pText(undefined, 3)]).toEqual(["", "", ""]);
    expect(pText(0.5, 0, 0, 0.2)).toBe("0.50");
  });
});
