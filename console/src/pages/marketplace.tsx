import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { models as modelsQuery, offers as offersQuery, stats as statsQuery } from "../api/queries";
import { Compare } from "../market/compare";
import { ANY, keyOf, narrowed, type Offer, SORTS, type Sort, sorted, type Wanted } from "../market/offers";
import { market as route } from "../router";
import { countText, plural } from "../ui/amounts";
import { Empty, Fact, Failure, Field, Head, Money, Skeleton, Status } from "../ui/small";
import { Tip } from "../ui/tip";
import "../styles/marketplace.css";

const COMPARED_MAX = 4;

export function MarketplacePage() {
  const { model = "" } = route.useSearch();
  const navigate = useNavigate();
  const query = useQuery({ ...offersQuery(model), placeholderData: keepPreviousData });
  const stats = useQuery(statsQuery);
  const [sort, setSort] = useState<Sort>(model ? "item" : "deal");
  const [wanted, setWanted] = useState<Wanted>(ANY);
  const [compared, setCompared] = useState<readonly string[]>([]);
  const all = query.data?.data ?? [];
  const shown = sorted(narrowed(all, wanted), sort);
  const chosen = compared.flatMap((key) => all.find((offer) => keyOf(offer) === key) ?? []);
  const toggle = (key: string) =>
    setCompared((keys) => (keys.includes(key) ? keys.filter((one) => one !== key) : [...keys, key]));
  return (
    <>
      <Head
        title="Marketplace"
        intro="Slots on line now, with what their owners ask. A job takes the cheapest that suit, by itself."
      />
      <dl className="facts">
        <Fact name="Machines on line">{stats.data ? countText(stats.data.providers_online) : "…"}</Fact>
        <Fact
          name="Slots on line"
          note={
            stats.data && (
              <>
                {stats.data.slots_busy} busy; all together <Money of={stats.data.price_per_hour} /> an hour
              </>
            )
          }
        >
          {stats.data ? countText(stats.data.slots_online) : "…"}
        </Fact>
        <Fact name="Items in 24 hours">{stats.data ? countText(stats.data.items_day) : "…"}</Fact>
        <Fact name="Public models">{stats.data ? countText(stats.data.models_public) : "…"}</Fact>
      </dl>
      <Narrow
        all={all}
        wanted={wanted}
        onChange={setWanted}
        sort={sort}
        onSort={setSort}
        model={model}
        onModel={(name) => {
          void navigate({ to: "/marketplace", search: name ? { model: name } : {}, replace: true });
          setSort(name ? "item" : "deal");
        }}
      />
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {chosen.length > 1 && <Compare offers={chosen} onRemove={toggle} />}
      <section className="sheet flush" aria-label="Offers">
        {query.isPending && (
          <div className="empty">
            <Skeleton />
          </div>
        )}
        {query.data && shown.length === 0 && (
          <Empty
            title="Nothing on offer"
            action={
              all.length > 0 && (
                <button type="button" className="button" onClick={() => setWanted(ANY)}>
                  Show all
                </button>
              )
            }
          >
            {all.length
              ? "No slot on line is like that. Try wider filters."
              : "No machine is on line now. Lend one of yours, and it is the first."}
          </Empty>
        )}
        {shown.length > 0 && (
          <Offers offers={shown} compared={compared} onCompare={toggle} model={model} onSort={setSort} sort={sort} />
        )}
      </section>
      {query.data?.next_cursor && (
        <p className="small soft">The first {plural(all.length, "slot")} are shown, the cheapest of them all.</p>
      )}
    </>
  );
}

function Narrow({
  all,
  wanted,
  onChange,
  sort,
  onSort,
  model,
  onModel,
}: {
  all: readonly Offer[];
  wanted: Wanted;
  onChange: (wanted: Wanted) => void;
  sort: Sort;
  onSort: (sort: Sort) => void;
  model: string;
  onModel: (name: string) => void;
}) {
  const models = useInfiniteQuery(modelsQuery);
  const set = (part: Partial<Wanted>) => onChange({ ...wanted, ...part });
  const kinds = (name: "accelerator" | "region") =>
    [...new Set(all.map((offer) => offer[name]))].filter(Boolean).sort();
  return (
    <div className="stack">
      <div className="grid-fields">
        <Field label="Price an item of">
          <select value={model} onChange={(event) => onModel(event.target.value)}>
            <option value="">no model</option>
            {models.data?.pages
              .flatMap((page) => page.data)
              .map((one) => (
                <option key={one.id} value={one.id}>
                  {one.name}
                </option>
              ))}
          </select>
        </Field>
        <Field label="Order">
          <select value={sort} onChange={(event) => onSort(event.target.value as Sort)}>
            {Object.entries(SORTS)
              .filter(([key]) => key !== "item" || model)
              .map(([key, words]) => (
                <option key={key} value={key}>
                  {words}
                </option>
              ))}
          </select>
        </Field>
        <Field label="Accelerator">
          <select value={wanted.accelerator} onChange={(event) => set({ accelerator: event.target.value })}>
            <option value="">any</option>
            {kinds("accelerator").map((kind) => (
              <option key={kind}>{kind}</option>
            ))}
          </select>
        </Field>
        <Field label="Region">
          <select value={wanted.region} onChange={(event) => set({ region: event.target.value })}>
            <option value="">any</option>
            {kinds("region").map((kind) => (
              <option key={kind}>{kind}</option>
            ))}
          </select>
        </Field>
      </div>
      <div className="filters">
        <input
          type="search"
          aria-label="Search by machine or device"
          placeholder="machine or device"
          value={wanted.text}
          onChange={(event) => set({ text: event.target.value })}
        />
        <input
          type="text"
          className="bound"
          inputMode="decimal"
          aria-label="At least so much memory in GiB"
          placeholder="GiB at least"
          value={wanted.memory}
          onChange={(event) => set({ memory: event.target.value })}
        />
        <input
          type="text"
          className="bound"
          inputMode="decimal"
          aria-label="At most so many dollars an hour"
          placeholder="$ an hour at most"
          value={wanted.price}
          onChange={(event) => set({ price: event.target.value })}
        />
        <label className="check">
          <input type="checkbox" checked={wanted.free} onChange={(event) => set({ free: event.target.checked })} />
          free now
        </label>
        <label className="check">
          <input
            type="checkbox"
            checked={wanted.sandboxed}
            onChange={(event) => set({ sandboxed: event.target.checked })}
          />
          in a sandbox
        </label>
      </div>
    </div>
  );
}

function Offers({
  offers,
  compared,
  onCompare,
  model,
  sort,
  onSort,
}: {
  offers: readonly Offer[];
  compared: readonly string[];
  onCompare: (key: string) => void;
  model: string;
  sort: Sort;
  onSort: (sort: Sort) => void;
}) {
  const head = (key: Sort, words: string, right = true) => (
    <th className={right ? "num" : ""} aria-sort={sort === key ? "ascending" : "none"}>
      <button type="button" className="sorter" onClick={() => onSort(key)}>
        {words}
      </button>
    </th>
  );
  return (
    <div className="scroll">
      <table className="cards">
        <thead>
          <tr>
            <th>
              <span className="visually-hidden">Compare</span>
            </th>
            {head("name", "Machine", false)}
            <th>Device</th>
            <th>Region</th>
            {head("speed", "Speed")}
            {head("memory", "Memory")}
            {head("price", "An hour")}
            {model && head("item", "A million items")}
            <th>Now</th>
          </tr>
        </thead>
        <tbody>
          {offers.map((offer, rank) => (
            <tr key={keyOf(offer)}>
              <td data-label="Compare">
                <input
                  type="checkbox"
                  className="pick"
                  aria-label={`Compare ${offer.provider_name} slot ${offer.slot}`}
                  checked={compared.includes(keyOf(offer))}
                  disabled={compared.length >= COMPARED_MAX && !compared.includes(keyOf(offer))}
                  onChange={() => onCompare(keyOf(offer))}
                />
              </td>
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
              <td className="num" data-label="Speed">
                <Tip says="Against one common server core" taps>
                  <span>{offer.speed.toFixed(2)} ×</span>
                </Tip>
              </td>
              <td className="num" data-label="Memory">
                {offer.memory_gib.toFixed(1)} GiB
              </td>
              <td className="num" data-label="An hour">
                <Money of={offer.price_per_hour} />
              </td>
              {model && (
                <td className="num" data-label="A million items">
                  <ItemPrice offer={offer} best={rank === 0 && sort === "item"} />
                </td>
              )}
              <td data-label="Now">
                <Status of={offer.is_busy ? "running" : "online"}>{offer.is_busy ? "busy" : "free"}</Status>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function ItemPrice({ offer, best }: { offer: Offer; best: boolean }) {
  if (!offer.item) return <span className="soft">…</span>;
  if (!offer.item.fits) return <span className="soft">too little memory</span>;
  return (
    <Tip says={`${(1 / offer.item.seconds).toPrecision(3)} items a second`} taps>
      <span>
        {offer.own ? <span className="soft">nothing</span> : <Money of={offer.item.price_per_million} />}
        {best && <span className="badge accent"> cheapest</span>}
      </span>
    </Tip>
  );
}
