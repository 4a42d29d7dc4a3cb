/** A few offers side by side, the best of each line marked. */
import { Money, Status } from "../ui/small";
import { keyOf, type Offer } from "./offers";

interface Line {
  name: string;
  show: (offer: Offer) => React.ReactNode;
  /** Less is better; null: there is no better. */
  rank?: (offer: Offer) => number;
}

const LINES: Line[] = [
  { name: "Device", show: (o) => `${o.device} (${o.accelerator})` },
  { name: "Region", show: (o) => o.region || "unknown" },
  { name: "Speed", show: (o) => `${o.speed.toFixed(2)} ×`, rank: (o) => -o.speed },
  { name: "Memory", show: (o) => `${o.memory_gib.toFixed(1)} GiB`, rank: (o) => -o.memory_gib },
  { name: "Threads", show: (o) => o.threads, rank: (o) => -o.threads },
  { name: "An hour", show: (o) => <Money of={o.price_per_hour} />, rank: (o) => o.price_per_hour.usd_nanos },
  {
    name: "An hour at speed 1",
    show: (o) => `$${(o.price_per_hour.usd_nanos / 1e9 / o.speed).toPrecision(3)}`,
    rank: (o) => o.price_per_hour.usd_nanos / o.speed,
  },
  { name: "Price", show: (o) => (o.is_auto ? "follows the market" : "set by its owner") },
  { name: "Models run in", show: (o) => o.isolation },
  { name: "Now", show: (o) => <Status of={o.is_busy ? "running" : "online"}>{o.is_busy ? "busy" : "free"}</Status> },
];
const ITEM_LINES: Line[] = [
  {
    name: "A million items",
    show: (o) => (o.item ? <Money of={o.item.price_per_million} /> : ""),
    rank: (o) => o.item?.price_per_million.usd_nanos ?? 0,
  },
  {
    name: "Items a second",
    show: (o) => (o.item ? (1 / o.item.seconds).toPrecision(3) : ""),
    rank: (o) => o.item?.seconds ?? 0,
  },
];

export function Compare({ offers, onRemove }: { offers: readonly Offer[]; onRemove: (key: string) => void }) {
  const lines = offers.some((offer) => offer.item) ? [...LINES, ...ITEM_LINES] : LINES;
  return (
    <section className="sheet" aria-label="Side by side">
      <h2>Side by side</h2>
      <div className="scroll">
        <table className="compare">
          <thead>
            <tr>
              <td />
              {offers.map((offer) => (
                <th scope="col" key={keyOf(offer)}>
                  {offer.provider_name} · {offer.slot}
                  <button type="button" className="button quiet small" onClick={() => onRemove(keyOf(offer))}>
                    Remove
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {lines.map(({ name, show, rank }) => {
              const best = rank && Math.min(...offers.map(rank));
              const differ = rank && offers.some((offer) => rank(offer) !== best);
              return (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {offers.map((offer) => (
                    <td key={keyOf(offer)} className={rank && differ && rank(offer) === best ? "num best" : "num"}>
                      {show(offer)}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
