/** The text in which a machine's hours are kept ("mo-fr 22-7, sa-su 0-24"), read and written as `provider_join/hours.py` does. */

export const DAYS = ["mo", "tu", "we", "th", "fr", "sa", "su"] as const;
export const DAY_NAMES = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] as const;
export const DAY_MINUTES = 24 * 60;
const WINDOWS_MAX = 32;
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];
const WINDOW =
  /^(?:(mo|tu|we|th|fr|sa|su)(?:-(mo|tu|we|th|fr|sa|su))?\s+)?(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?$/;

/** A stretch of each of some days (0 is Monday), in minutes after midnight; one that ends before it begins ends on the next day. */
export interface Hours {
  days: number[];
  begin: number;
  end: number;
}
export type Stretch = readonly [begin: number, end: number];

/** The hours that a text names, those of the same times together; null: it names none. */
export function readHours(text: string): Hours[] | null {
  const parts = text.toLowerCase().split(",");
  const read = parts.map((part) => readWindow(part.trim()));
  if (parts.length > WINDOWS_MAX || read.some((hours) => hours === null)) return null;
  const rows = new Map<string, Hours>();
  for (const hours of read as Hours[]) {
    const key = `${hours.begin}-${hours.end}`;
    const days = new Set([...(rows.get(key)?.days ?? []), ...hours.days]);
    rows.set(key, { ...hours, days: [...days].sort((one, other) => one - other) });
  }
  return [...rows.values()];
}

function readWindow(text: string): Hours | null {
  const found = WINDOW.exec(text);
  if (!found) return null;
  const [, first, last, beginHour, beginMinute, endHour, endMinute] = found;
  const begin = minuteOf(beginHour, beginMinute);
  const end = minuteOf(endHour, endMinute);
  if (begin === null || end === null || begin === DAY_MINUTES || begin === end) return null;
  return { days: daysFrom(first, last), begin, end };
}

function minuteOf(hour = "0", minute = "0"): number | null {
  const minutes = Number(hour) * 60 + Number(minute);
  return Number(minute) > 59 || minutes > DAY_MINUTES ? null : minutes;
}

function daysFrom(first: string | undefined, last: string | undefined): number[] {
  if (first === undefined) return [...EVERY_DAY];
  const begin = DAYS.indexOf(first as (typeof DAYS)[number]);
  const end = last === undefined ? begin : DAYS.indexOf(last as (typeof DAYS)[number]);
  return Array.from({ length: ((end - begin + 7) % 7) + 1 }, (_, step) => (begin + step) % 7);
}

/** Whether a row names hours: a day, and two times that differ. */
export function isWhole({ days, begin, end }: Hours): boolean {
  return days.length > 0 && begin !== end && begin < DAY_MINUTES && end <= DAY_MINUTES;
}

/** The same hours as text; null when a row names none, or there is none. */
export function writeHours(rows: readonly Hours[]): string | null {
  if (rows.length === 0 || !rows.every(isWhole)) return null;
  const parts = rows.flatMap(({ days, begin, end }) => {
    const times = `${timeText(begin)}-${timeText(end)}`;
    if (days.length === 7) return [times];
    return runsOf(days).map(([first, last]) => {
      const until = last === first ? "" : `-${DAYS[last]}`;
      return `${DAYS[first]}${until} ${times}`;
    });
  });
  return parts.length > WINDOWS_MAX ? null : parts.join(", ");
}

function timeText(minute: number): string {
  const rest = minute % 60;
  return `${Math.floor(minute / 60)}${rest ? `:${String(rest).padStart(2, "0")}` : ""}`;
}

/** Days that follow each other, Sunday before Monday too: Sat–Mon is one run. */
function runsOf(days: readonly number[]): [first: number, last: number][] {
  const has = new Set(days);
  return EVERY_DAY.filter((day) => has.has(day) && !has.has((day + 6) % 7)).map((first) => {
    let last = first;
    while (has.has((last + 1) % 7)) last = (last + 1) % 7;
    return [first, last];
  });
}

/** What is open on each day from Monday on, in order and without overlaps. */
export function openOn(rows: readonly Hours[]): Stretch[][] {
  const days: Stretch[][] = EVERY_DAY.map(() => []);
  for (const { days: on, begin, end } of rows) {
    for (const day of on) {
      days[day]?.push([begin, begin < end ? end : DAY_MINUTES]);
      if (begin > end && end > 0) days[(day + 1) % 7]?.push([0, end]);
    }
  }
  return days.map(together);
}

function together(stretches: Stretch[]): Stretch[] {
  const joined: [number, number][] = [];
  for (const [begin, end] of stretches.sort((one, other) => one[0] - other[0])) {
    const last = joined.at(-1);
    if (last && begin <= last[1]) last[1] = Math.max(last[1], end);
    else joined.push([begin, end]);
  }
  return joined;
}

/** "Mon–Fri 22:00–07:00 and all of Saturday and Sunday" */
export function hoursInWords(rows: readonly Hours[]): string {
  return listed(
    rows.map(({ days, begin, end }) => {
      const whole = begin === 0 && end === DAY_MINUTES;
      if (whole && days.length === 7) return "at any time";
      if (whole) return `all of ${daysInWords(days, (day) => DAY_NAMES[day] ?? "")}`;
      return `${days.length === 7 ? "every day" : daysInWords(days, short)} ${clock(begin)}–${clock(end)}`;
    }),
  );
}

/** "07:00"; midnight at the end of a day is "24:00". */
export function clock(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
}

/** What somebody typed as a time: 7, 7:30, 7.30, 730 and 24:00 are; null: it is none. */
export function typedTime(text: string): number | null {
  const found = /^(\d{1,2})(?:[:.]?(\d\d))?$/.exec(text.trim());
  return found && minuteOf(found[1], found[2]);
}

const short = (day: number) => DAY_NAMES[day]?.slice(0, 3) ?? "";

function daysInWords(days: readonly number[], name: (day: number) => string): string {
  const parts = runsOf(days).flatMap(([first, last]) => {
    const length = ((last - first + 7) % 7) + 1;
    if (length > 2) return [`${short(first)}–${short(last)}`];
    return length === 2 ? [name(first), name(last)] : [name(first)];
  });
  return listed(parts);
}

function listed(parts: string[]): string {
  return parts.length < 2 ? (parts[0] ?? "") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

/** The day (0 is Monday) and the minute that a clock shows which is so far ahead of UTC. */
export function wallTime(now: number, offsetMinutes: number): { day: number; minute: number } {
  const wall = new Date(now + offsetMinutes * 60_000);
  return { day: (wall.getUTCDay() + 6) % 7, minute: wall.getUTCHours() * 60 + wall.getUTCMinutes() };
}
