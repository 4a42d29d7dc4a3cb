import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Schemas } from "../api/client";
import { offers as offersQuery, stats as statsQuery } from "../api/queries";
import { countText } from "../ui/amounts";
import { Empty, Fact, Failure, Field, Head, Money, Skeleton, Status } from "../ui/small";

type Offer = Schemas["OfferOut"];
export type Sort = "price" | "speed" | "deal" | "memory";
const SORTS: Record<Sort, string> = {
  deal: "best deal: speed for the price",
  price: "cheapest first",
  speed: "fastest first",
  memory: "most memory first",
};

/** Dollars an hour for the speed of one common server core. A float is enough to sort by; amounts are shown exactly. */
export function dealOf(offer: Offer): number {
  return offer.speed > 0 ? offer.price_per_hour.usd_nanos / offer.speed : Number.POSITIVE_INFINITY;
}

export function sorted(offers: readonly Offer[], sort: Sort): Offer[] {
  const by: Record<Sort, (offer: Offer) => number> = {
    price: (o) => o.price_per_hour.usd_nanos,
    deal: dealOf,
    speed: (o) => -o.speed,
    memory: (o) => -o.memory_gib,
  };
  return [...offers].sort((a, b) => by[sort](a) - by[sort](b) || a.provider_name.localeCompare(b.provider_name));
}

export function MarketplacePage() {
  const query = useQuery(offersQuery);
  const stats = useQuery(statsQuery);
  const [sort, setSort] = useState<Sort>("deal");
  const [accelerator, setAccelerator] = useState("");
  const [region, setRegion] = useState("");
  const all = query.data?.data ?? [];
  const shown = sorted(all, sort).filter(
    (offer) => (!accelerator || offer.accelerator === accelerator) && (!region || offer.region === region),
  );
  const kinds = (name: "accelerator" | "region") => [...new Set(all.map((offer) => offer[name]))].sort();
  return (
    <>
      <Head
        title="Marketplace"
        intro="Slots on line now, with what their owners ask. A job takes the cheapest that suit, by itself."
      />
      <dl className="facts">
        <Fact name="Machines on line">{stats.data ? countText(stats.data.providers_online) : "…"}</Fact>
        <Fact name="Slots on line" note={stats.data && `${stats.data.slots_busy} busy`}>
          {stats.data ? countText(stats.data.slots_online) : "…"}
        </Fact>
        <Fact name="Items in 24 hours">{stats.data ? countText(stats.data.items_day) : "…"}</Fact>
        <Fact name="Public models">{stats.data ? countText(stats.data.models_public) : "…"}</Fact>
      </dl>
      <div className="grid-fields">
        <Field label="Order">
          <select value={sort} onChange={(event) => setSort(event.target.value as Sort)}>
            {Object.entries(SORTS).map(([key, words]) => (
              <option key={key} value={key}>
                {words}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Accelerator">
          <select value={accelerator} onChange={(event) => setAccelerator(event.target.value)}>
            <option value="">any</option>
            {kinds("accelerator").map((kind) => (
              <option key={kind}>{kind}</option>
            ))}
          </select>
        </Field>
        <Field label="Region">
          <select value={region} onChange={(event) => setRegion(event.target.value)}>
            <option value="">any</option>
            {kinds("region").map((kind) => (
              <option key={kind}>{kind}</option>
            ))}
          </select>
        </Field>
      </div>
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      <section className="sheet flush" aria-label="Offers">
        {query.isPending && (
          <div className="empty">
            <Skeleton />
          </div>
        )}
        {query.data && shown.length === 0 && (
          <Empty title="Nothing is on offer">
            {all.length
              ? "No slot on line is of that kind. Try wider filters."
              : "No machine is on line now. Lend one of yours, and it is the first."}
          </Empty>
        )}
        {shown.length > 0 && (
          <table className="cards">
            <thead>
              <tr>
                <th>Machine</th>
                <th>Device</th>
                <th>Region</th>
                <th className="num">Speed</th>
                <th className="num">Memory</th>
                <th className="num">An hour</th>
                <th>Now</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((offer) => (
                <tr key={`${offer.provider_id} ${offer.slot}`}>
                  <td data-label="Machine">
                    <span>
                      <strong>{offer.provider_name}</strong> <span className="soft">slot {offer.slot}</span>{" "}
                      {offer.own && <span className="badge accent">yours</span>}
                    </span>
                  </td>
                  <td data-label="Device">
                    <span>
                      {offer.device} <span className="badge">{offer.accelerator}</span>
                    </span>
                  </td>
                  <td data-label="Region">{offer.region}</td>
                  <td className="num" data-label="Speed" title="Against one common server core">
                    {offer.speed.toFixed(2)} ×
                  </td>
                  <td className="num" data-label="Memory">
                    {offer.memory_gib.toFixed(1)} GiB
                  </td>
                  <td className="num" data-label="An hour">
                    <Money of={offer.price_per_hour} />
                  </td>
                  <td data-label="Now">
                    <Status of={offer.is_busy ? "running" : "online"}>{offer.is_busy ? "busy" : "free"}</Status>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
    </>
  );
}
