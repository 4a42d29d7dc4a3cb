import { expect, test } from "vitest";
import {
  clock,
  type Hours,
  hoursInWords,
  openOn,
  readHours,
  typedTime,
  wallTime,
  writeHours,
} from "../src/machines/hours";

const DAYS = ["mo", "tu", "we", "th", "fr", "sa", "su"];
/** "we 23:30" as a day and a minute. */
function at(text: string): [number, number] {
  const [day = "", time = ""] = text.split(" ");
  const [hour = "0", minute = "0"] = time.split(":");
  return [DAYS.indexOf(day), Number(hour) * 60 + Number(minute)];
}
function isOpen(text: string, moment: string): boolean {
  const [day, minute] = at(moment);
  return openOn(readHours(text) ?? [])[day]?.some(([begin, end]) => begin <= minute && minute < end) ?? false;
}

// The cases of tests/unit/provider_join/test_hours.py.
test.each([
  ["22-7", ["we 22:00", "we 23:59", "th 00:00", "th 6:59"], ["we 21:59", "th 7:00", "th 12:00"]],
  ["9:30-17", ["mo 9:30", "su 16:59"], ["mo 9:29", "mo 17:00"]],
  ["mo-fr 22-7, sa-su 0-24", ["fr 22:00", "sa 6:00", "sa 12:00", "su 23:59", "tu 3:00"], ["mo 3:00", "mo 12:00"]],
  ["su 23-1", ["su 23:30", "mo 0:59"], ["mo 23:30", "su 0:30"]],
  ["sa-mo 8-9", ["sa 8:00", "su 8:00", "mo 8:59"], ["tu 8:00", "fr 8:00"]],
  ["6-8,20-24", ["mo 7:00", "mo 23:59"], ["mo 0:00", "mo 12:00"]],
])("%s is open when the machine says so", (text, inside, outside) => {
  expect(inside.filter((moment) => !isOpen(text, moment))).toEqual([]);
  expect(outside.filter((moment) => isOpen(text, moment))).toEqual([]);
});

test.each(["", "22", "7-7", "24-3", "25-3", "8:60-9", "mo", "xx 8-9", "22-7;", "8-9,".repeat(40), "٢٢-7"])(
  "%s names no hours",
  (text) => expect(readHours(text)).toBeNull(),
);

test.each([
  ["mo-fr 22-7, sa-su 0-24", "mo-fr 22-7, sa-su 0-24"],
  [" MO  22:30-7 , tu 22:30-07:00", "mo-tu 22:30-7"],
  ["su-mo 8-9", "su-mo 8-9"],
  ["mo 8-9, we 8-9, fr-sa 8-9", "mo 8-9, we 8-9, fr-sa 8-9"],
  ["mo-fr 8-9, sa-su 8-9", "8-9"],
  ["22-0", "22-0"],
])("%s is written back as %s", (text, written) => expect(writeHours(readHours(text) ?? [])).toBe(written));

test("rows that name no hours are written as none", () => {
  const row = (days: number[], begin: number, end: number): Hours => ({ days, begin, end });
  expect(writeHours([])).toBeNull();
  expect(writeHours([row([], 0, 60)])).toBeNull();
  expect(writeHours([row([0], 60, 60)])).toBeNull();
  expect(writeHours([row([0], Number.NaN, 60)])).toBeNull();
  expect(writeHours([row([0], 60, Number.NaN)])).toBeNull();
  const many = Array.from({ length: 20 }, (_, hour) => row([0, 2], hour * 60, hour * 60 + 30));
  expect(writeHours(many)).toBeNull(); // two windows each, and the machine takes 32
});

test.each([
  ["mo-fr 22-7, sa-su 0-24", "Mon–Fri 22:00–07:00 and all of Saturday and Sunday"],
  ["22-7", "every day 22:00–07:00"],
  ["0-24", "at any time"],
  ["6-8, sa 20-24, mo-we 9:30-10", "every day 06:00–08:00, Sat 20:00–24:00 and Mon–Wed 09:30–10:00"],
  ["sa-mo 8-9", "Sat–Mon 08:00–09:00"],
  ["mo 8-9, we 8-9", "Mon and Wed 08:00–09:00"],
])("%s reads: %s", (text, words) => expect(hoursInWords(readHours(text) ?? [])).toBe(words));

test("windows that touch or overlap are one stretch", () => {
  expect(openOn(readHours("mo 8-12, mo 10-14, mo 14-15, mo 20-2") ?? []).slice(0, 2)).toEqual([
    [
      [480, 900],
      [1200, 1440],
    ],
    [[0, 120]],
  ]);
});

test("times are taken as people type them", () => {
  expect(["7", "07:30", "730", "22.15", " 24:00 ", "0"].map(typedTime)).toEqual([420, 450, 450, 1335, 1440, 0]);
  expect(["", "noon", "24:01", "8:60", "8:5", "12345", "-1"].map(typedTime)).toEqual(Array(7).fill(null));
});

test("the machine's clock is not the browser's", () => {
  const sunday = Date.UTC(2026, 10, 22, 23, 30);
  expect(wallTime(sunday, 60)).toEqual({ day: 0, minute: 30 });
  expect(wallTime(sunday, -30)).toEqual({ day: 6, minute: 23 * 60 });
  expect([clock(65), clock(1440)]).toEqual(["01:05", "24:00"]);
});
