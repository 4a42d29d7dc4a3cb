/** Offers of the marketplace: narrowed down and ordered. */
import type { Schemas } from "../api/client";

export type Offer = Schemas["OfferOut"];
export type Sort = "deal" | "item" | "price" | "speed" | "memory" | "name";
export const SORTS: Record<Sort, string> = {
  deal: "best deal: speed for the price",
  item: "cheapest for an item",
  price: "cheapest for an hour",
  speed: "fastest first",
  memory: "most memory first",
  name: "by name",
};

export interface Wanted {
  accelerator: string;
  region: string;
  text: string;
  memory: string;
  price: string;
  free: boolean;
  sandboxed: boolean;
}
export const ANY: Wanted = {
  accelerator: "",
  region: "",
  text: "",
  memory: "",
  price: "",
  free: false,
  sandboxed: false,
};

/** Dollars an hour for the speed of one common server core. A float is enough to sort by; amounts are shown exactly. */
export function dealOf(offer: Offer): number {
  return offer.speed > 0 ? offer.price_per_hour.usd_nanos / offer.speed : Number.POSITIVE_INFINITY;
}

export function sorted(offers: readonly Offer[], sort: Sort): Offer[] {
  const by: Record<Exclude<Sort, "name">, (offer: Offer) => number> = {
    price: (o) => o.price_per_hour.usd_nanos,
    item: (o) =>
      o.item?.fits === false ? Number.POSITIVE_INFINITY : (o.item?.price_per_million.usd_nanos ?? dealOf(o)),
    deal: dealOf,
    speed: (o) => -o.speed,
    memory: (o) => -o.memory_gib,
  };
  const names = (a: Offer, b: Offer) => a.provider_name.localeCompare(b.provider_name) || a.slot - b.slot;
  if (sort === "name") return [...offers].sort(names);
  const of = by[sort];
  return [...offers].sort((a, b) => (of(a) === of(b) ? names(a, b) : of(a) - of(b)));
}

/** A field that says no number narrows nothing down. */
const bound = (text: string) => (Number(text.replace(",", ".")) > 0 ? Number(text.replace(",", ".")) : null);

export function narrowed(offers: readonly Offer[], wanted: Wanted): Offer[] {
  const memory = bound(wanted.memory);
  const price = bound(wanted.price);
  const text = wanted.text.trim().toLowerCase();
  return offers.filter(
    (offer) =>
      (!wanted.accelerator || offer.accelerator === wanted.accelerator) &&
      (!wanted.region || offer.region === wanted.region) &&
      (!text || `${offer.provider_name} ${offer.device}`.toLowerCase().includes(text)) &&
      (memory === null || offer.memory_gib >= memory) &&
      (price === null || offer.price_per_hour.usd_nanos <= price * 1e9) &&
      (!wanted.free || !offer.is_busy) &&
      (!wanted.sandboxed || offer.isolation === "sandbox"),
  );
}

export const keyOf = (offer: Offer) => `${offer.provider_id} ${offer.slot}`;
