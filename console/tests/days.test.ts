import { expect, test } from "vitest";
import { dayText, heights, sumOf } from "../src/ui/day-bars";

const days = [0, 1, 400_000_000, 1_000_000_000].map((usd_nanos, at) => ({
  day: `2026-03-0${at + 1}`,
  amount: { usd_nanos, usd: "" },
}));

test("the tallest day fills the height, the smallest is seen, and none is none", () => {
  expect(heights(days)).toEqual([0, 2, 40, 100]);
  expect(heights(days.slice(0, 1))).toEqual([0]);
});

test("sums are exact", () => {
  expect(sumOf(days)).toEqual({ usd_nanos: 1_400_000_001, usd: "1.400000001" });
});

test("a day is the same day wherever the reader is", () => {
  expect(dayText("2026-03-01")).toBe("Mar 1");
});
