import { expect, test } from "vitest";
import { dayText, dollarsText, sumOf } from "../src/ui/day-bars";

const days = [0, 1, 400_000_000, 1_000_000_000].map((usd_nanos, at) => ({
  day: `2026-03-0${at + 1}`,
  amount: { usd_nanos, usd: "" },
}));

test("sums are exact", () => {
  expect(sumOf(days)).toEqual({ usd_nanos: 1_400_000_001, usd: "1.400000001" });
});

test("a day is the same day wherever the reader is", () => {
  expect(dayText("2026-03-01")).toBe("Mar 1");
});

test("the axis says dollars exactly", () => {
  expect([0, 1, 2_000, 500_000_000, 20_000_000_000].map(dollarsText)).toEqual([
    "$0.00",
    "$0.000000001",
    "$0.000002",
    "$0.50",
    "$20.00",
  ]);
});
