// @vitest-environment happy-dom
import { signal } from "@preact/signals-core";
import { expect, it, vi } from "vitest";
import type * as Dom from "../src/dom";

it("radio buttons of two widgets are two groups, though each widget evaluates the script by itself", async () => {
  const names = new Set<string>();
  for (let i = 0; i < 3; i++) {
    vi.resetModules();
    const { bind, segmented } = (await import("../src/dom")) as typeof Dom;
    const group = segmented("Group", [{ value: "a", label: "A" }], bind(signal("a")));
    names.add(group.querySelector("input")!.name);
  }
  expect(names.size).toBe(3);
});
