import { expect, test } from "vitest";
import { barAt, heights, named, steppedTo, ticksTo } from "../src/ui/ranges";

test("an axis has a few round whole numbers and ends above the largest amount", () => {
  expect(ticksTo(0)).toEqual([0, 1]);
  expect(ticksTo(1)).toEqual([0, 1]);
  expect(ticksTo(7)).toEqual([0, 5, 10]);
  expect(ticksTo(2764)).toEqual([0, 1000, 2000, 3000]);
  expect(ticksTo(1_000_000_000)).toEqual([0, 500_000_000, 1_000_000_000]);
});

test("whatever the largest amount, the marks are whole, in even steps, and the last reaches it without much above", () => {
  for (let most = 1; most < 1e15; most = Math.ceil(most * 1.37)) {
    const ticks = ticksTo(most);
    const step = ticks[1] ?? 0;
    expect(ticks).toEqual(ticks.map((_, place) => place * step));
    expect(Number.isSafeInteger(step)).toBe(true);
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(most);
    expect((ticks.at(-1) ?? 0) - step).toBeLessThan(most);
    expect(ticks.length).toBeLessThanOrEqual(4);
  }
});

test("the smallest amount is seen, and none is none", () => {
  expect(heights([0, 1, 40, 100], 100)).toEqual([0, 2, 40, 100]);
});

test("the last bar is always named, the others in even steps as far as there is room", () => {
  expect(named(7, 10)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(named(30, 4)).toEqual([5, 13, 21, 29]);
  expect(named(90, 0)).toEqual([89]);
  expect(named(0, 5)).toEqual([]);
});

test("a pointer beside the plot means the bar at that end", () => {
  expect([-5, 0, 49, 50, 99, 300].map((x) => barAt(x, 100, 2))).toEqual([0, 0, 0, 1, 1, 1]);
});

test("arrow keys go from bar to bar and stop at the ends", () => {
  expect(steppedTo("ArrowLeft", 3, 5)).toBe(2);
  expect(steppedTo("ArrowLeft", 0, 5)).toBe(0);
  expect(steppedTo("ArrowRight", 4, 5)).toBe(4);
  expect([steppedTo("Home", 3, 5), steppedTo("End", 3, 5)]).toEqual([0, 4]);
  expect(steppedTo("Enter", 3, 5)).toBeNull();
});
