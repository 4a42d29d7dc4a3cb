import { expect, test } from "vitest";
import type { Schemas } from "../src/api/client";
import { ANY, narrowed, type Offer, sorted } from "../src/market/offers";

test("the best deal is the least money for the same speed", () => {
  const offer = (provider_name: string, nanos: number, speed: number) => ({
    provider_name,
    speed,
    memory_gib: 1,
    price_per_hour: { usd_nanos: nanos, usd: "" },
  });
  const offers = [offer("dear", 90, 3), offer("slow", 20, 0.5), offer("good", 50, 4)] as Schemas["OfferOut"][];
  expect(sorted(offers, "deal").map((one) => one.provider_name)).toEqual(["good", "dear", "slow"]);
  expect(sorted(offers, "price").map((one) => one.provider_name)).toEqual(["slow", "good", "dear"]);
  const named = (price: number, fits: boolean) => ({
    seconds: 1,
    fits,
    price_per_million: { usd_nanos: price, usd: "" },
  });
  const priced = offers.map((one, place) => ({ ...one, item: named(3 - place, place !== 2) }));
  expect(sorted(priced, "item").map((one) => one.provider_name)).toEqual(["slow", "dear", "good"]);
});

test("offers are narrowed down by all that is said, and a field without a number says nothing", () => {
  const offer = (facts: Partial<Offer>) =>
    ({
      provider_name: "m",
      device: "RTX 4090",
      accelerator: "cuda",
      region: "eu",
      memory_gib: 8,
      is_busy: false,
      isolation: "sandbox",
      price_per_hour: { usd_nanos: 500_000_000, usd: "0.5" },
      ...facts,
    }) as Offer;
  const offers = [offer({}), offer({ is_busy: true }), offer({ memory_gib: 2 }), offer({ isolation: "process" })];
  expect(narrowed(offers, { ...ANY, free: true, memory: "4", sandboxed: true })).toEqual([offers[0]]);
  expect(narrowed(offers, { ...ANY, memory: "much", price: "0,5", text: "rtx" })).toHaveLength(4);
  expect(narrowed(offers, { ...ANY, price: "0.49" })).toEqual([]);
});
