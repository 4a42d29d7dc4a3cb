/** Numbers as people read them. Money is never a float: it is cut from the API's exact decimal. */

/** "12.500000000" → ["12.50", "0000000"]: what carries meaning, and the zeros that only align columns. */
export function moneyParts(usd: string): [string, string] {
  const negative = usd.startsWith("-");
  const [whole = "0", fraction = ""] = usd.replace("-", "").split(".");
  const padded = fraction.padEnd(2, "0");
  const kept = Math.max(2, padded.replace(/0+$/, "").length);
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return [`${negative ? "−" : ""}$${grouped}.${padded.slice(0, kept)}`, padded.slice(kept)];
}

/** Adds exact decimals of nine places. */
export function nanosText(nanos: bigint): string {
  const negative = nanos < 0n;
  const digits = (negative ? -nanos : nanos).toString().padStart(10, "0");
  return `${negative ? "-" : ""}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

/** What somebody typed, as the API wants it: "1,5" → "1.5"; null when it is no amount. */
export function typedAmount(text: string): string | null {
  const cleaned = text.trim().replace(/^\$/, "").replace(",", ".");
  return /^\d{1,12}(\.\d{1,9})?$/.test(cleaned) ? cleaned : null;
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];
export function bytesText(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${UNITS[unit]}`;
}

export function countText(count: number): string {
  return count.toLocaleString("en-US");
}

/** "1 item", "3,000 items" */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}

export function secondsText(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

const STEPS: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [30, "day"],
  [12, "month"],
  [Number.POSITIVE_INFINITY, "year"],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
/** "job_01m803tjz9fybtdk4j0xpaf7a2" → "job_01m803…xpaf7a2": both ends tell one from another. */
export function middleCut(text: string, head = 10, tail = 7): string {
  return text.length > head + tail + 3 ? `${text.slice(0, head)}…${text.slice(-tail)}` : text;
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
/** A moment to the second, in the reader's own time and words. */
export const exactText = (moment: string) => exact.format(new Date(moment));

/** How long ago (or until) a moment is, seen from `now`. */
export function agoText(moment: string, now: number): string {
  let amount = (Date.parse(moment) - now) / 1000;
  if (Math.abs(amount) < 5) return "just now";
  for (const [size, unit] of STEPS) {
    if (Math.abs(amount) < size) return relative.format(Math.round(amount), unit);
    amount /= size;
  }
  return moment;
}
