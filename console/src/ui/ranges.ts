/** Where the marks of an axis stand, which bars are named beneath, and which one a finger or a key means. */

/** A bar of which there is anything is seen, however small beside the largest: this share of the height. */
const LEAST = 0.02;

/** Whole round numbers from 0 to at least `most`: 1, 2 or 5 times a power of ten apart, about `count` steps. */
export function ticksTo(most: number, count = 3): number[] {
  const rough = Math.max(1, most / count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? rough;
  return Array.from({ length: Math.max(1, Math.ceil(most / step)) + 1 }, (_, place) => place * step);
}

/** What is drawn for each amount on an axis that ends at `top`. */
export function heights(amounts: readonly number[], top: number): number[] {
  return amounts.map((amount) => (amount > 0 ? Math.max(LEAST * top, amount) : 0));
}

/** The places of the bars that are named: the last one, and back from it in even steps, at most `fit` of them. */
export function named(count: number, fit: number): number[] {
  const step = Math.max(1, Math.ceil(count / Math.max(1, fit)));
  const places: number[] = [];
  for (let place = count - 1; place >= 0; place -= step) places.unshift(place);
  return places;
}

/** The bar that is `x` from the left of a plot as wide as `width`. */
export function barAt(x: number, width: number, count: number): number {
  return Math.min(count - 1, Math.max(0, Math.floor((x / width) * count)));
}

/** Where a key leads from a bar; null when it is no key for that. */
export function steppedTo(key: string, place: number, count: number): number | null {
  const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: count - 1 }[key];
  return to === undefined ? null : Math.min(count - 1, Math.max(0, to));
}
