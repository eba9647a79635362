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

it("shows the equation that is in force: without a filter every head and word counts fully", () => {
  const s = state(explanation("ordinary"));
  const panel = open(s, filtersPanel);
  const shown = () =>
    [...panel.querySelectorAll<HTMLElement>(".equation")].filter((one) => !one.hidden).map((one) => one.textContent);
  s.headFilter.value = "max";
  s.fillerFilter.value = "none";
  expect(shown().filter((text) => /^[δω]/.test(text))).toEqual(["δ = max(0, simage − stext)", "ω = 1"]);
  s.headFilter.value = "none";
  s.fillerFilter.value = 0.1;
  expect(shown().filter((text) => /^[δω]/.test(text))).toEqual(["δ = 1", "ω = max(0, max simage − max stext)"]);
});
