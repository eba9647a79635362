// @vitest-environment happy-dom
import { expect, it } from "vitest";
import { filtersPanel } from "../src/panels/filters";
import { explanation } from "./golden";
import { open, state } from "./panel";

it("the slider of a top share says what Python set, between the shares that it offers too", () => {
  const s = state(explanation("ordinary"));
  const field = open(s, filtersPanel).querySelector(".slider")!;
  const input = field.querySelector("input")!;
  for (const [share, said, at] of [
    [0.1, "10 %", 1],
    [0.25, "25 %", 2],
    [0.01, "1 %", 0],
    ["avg", "all", Number(input.max)],
  ] as const) {
    s.headFilter.value = share;
    expect([field.querySelector("output")!.textContent, Number(input.value)]).toEqual([said, at]);
    expect(input.getAttribute("aria-valuetext")).toBe(said);
  }
  input.value = "1";
  input.dispatchEvent(new Event("input"));
  expect(s.headFilter.value).toBe(0.1);
});
