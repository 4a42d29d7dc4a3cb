import { expect, test } from "vitest";
import {
  agoText,
  bytesText,
  middleCut,
  moneyParts,
  nanosText,
  plural,
  secondsText,
  typedAmount,
} from "../src/ui/amounts";

test("money keeps every digit and groups thousands", () => {
  expect(moneyParts("12.500000000")).toEqual(["$12.50", "0000000"]);
  expect(moneyParts("0.000003615")).toEqual(["$0.000003615", ""]);
  expect(moneyParts("-1234567.000000000")).toEqual(["−$1,234,567.00", "0000000"]);
  expect(nanosText(9007199254740993000000001n)).toBe("9007199254740993.000000001");
});

test("typed amounts are exact decimals or nothing", () => {
  expect([" $1,5 ", "2", "0.000000001"].map(typedAmount)).toEqual(["1.5", "2", "0.000000001"]);
  expect(["", "1e3", "-1", "1.0000000001", "abc"].map(typedAmount)).toEqual(Array(5).fill(null));
});

test("sizes, counts and times in words", () => {
  expect([0, 999, 1000, 1_234_567].map(bytesText)).toEqual(["0 B", "999 B", "1.00 kB", "1.23 MB"]);
  expect([plural(1, "item"), plural(3000, "item"), plural(2, "try", "tries")]).toEqual([
    "1 item",
    "3,000 items",
    "2 tries",
  ]);
  expect([0.042, 2.5, 61, 7300].map(secondsText)).toEqual(["42 ms", "2.5 s", "1 min 1 s", "2 h 1 min"]);
  const now = Date.parse("2026-01-01T12:00:00Z");
  expect(
    ["2026-01-01T11:59:58Z", "2026-01-01T11:58:00Z", "2026-01-01T14:00:00Z"].map((at) => agoText(at, now)),
  ).toEqual(["just now", "2 minutes ago", "in 2 hours"]);
});

test("long ids keep both ends, short ones stay whole", () => {
  expect(middleCut("job_01m803tjz9fybtdk4j0xpaf7a2")).toBe("job_01m803…xpaf7a2");
  expect(middleCut("fab_Kbmv")).toBe("fab_Kbmv");
  expect(middleCut("a".repeat(20))).toBe("a".repeat(20));
  expect(middleCut("a".repeat(21))).toHaveLength(18);
});
