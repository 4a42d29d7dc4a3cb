import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api } from "../api/client";
import { wallet as walletQuery } from "../api/queries";
import { plural, secondsText } from "../ui/amounts";
import { Failure, Money } from "../ui/small";
import type { Request } from "./request";

const PAUSE_MS = 350;

/** The price, asked again a moment after something was changed. */
export function QuotePanel({
  work,
  items,
  broken,
}: {
  work: Omit<Request, "inputs">;
  items: number | null;
  broken: boolean;
}) {
  const wanted = JSON.stringify({ ...work, items });
  const [settled, setSettled] = useState(wanted);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(wanted), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [wanted]);
  const quote = useQuery({
    queryKey: ["quotes", settled],
    queryFn: ({ signal }) => api.post("/api/v1/quotes", { body: JSON.parse(settled), signal }),
    enabled: items !== null && items > 0 && !broken && settled === wanted,
    placeholderData: keepPreviousData,
    retry: false,
  });
  const wallet = useQuery(walletQuery);
  const { data } = quote;
  const able =
    data && wallet.data
      ? wallet.data.available.usd_nanos + wallet.data.promotional.usd_nanos >= data.hold.usd_nanos
      : true;
  const one = data && data.price_min.usd_nanos === data.price_max.usd_nanos;

  return (
    <section className="sheet quote" aria-label="Quote" aria-live="polite" aria-busy={quote.isFetching}>
      <h2>What it will cost</h2>
      {items === null || items === 0 ? (
        <p className="soft">The price stands here as soon as there are inputs.</p>
      ) : quote.error && !quote.isFetching ? (
        <Failure error={quote.error} retry={() => quote.refetch()} />
      ) : !data ? (
        <p className="soft">Asking …</p>
      ) : (
        <>
          <p className="quote-price">
            <Money of={data.price_expected} />
          </p>
          <p className="soft small">
            expected for {plural(data.items, "item")}
            {!one && (
              <>
                , <Money of={data.price_min} /> to <Money of={data.price_max} /> depending on the machines
              </>
            )}
          </p>
          <dl className="bill">
            <dt>Set aside until it ends</dt>
            <dd>
              <Money of={data.hold} />
            </dd>
            <dt>Takes about</dt>
            <dd className="num">
              {data.seconds_expected === null
                ? "unknown"
                : data.seconds_expected < 1
                  ? "less than 1 s"
                  : secondsText(data.seconds_expected)}
            </dd>
            <dt>Slots that suit</dt>
            <dd className="num">
              {data.capacity.slots_matching}, {data.capacity.slots_free} free
            </dd>
            <dt>An hour of a slot</dt>
            <dd>
              <Money of={data.rate_min} />
              {data.rate_min.usd_nanos !== data.rate_max.usd_nanos && (
                <>
                  {" – "}
                  <Money of={data.rate_max} />
                </>
              )}
            </dd>
          </dl>
          {data.capacity.slots_matching === 0 && (
            <p className="notice warn">
              No machine on line suits these limits now. The job would wait; wider limits would help.
            </p>
          )}
          {data.capacity.slots_too_small > 0 && (
            <p className="small soft">
              {plural(data.capacity.slots_too_small, "slot")} would suit but for too little memory.
            </p>
          )}
          {!able && (
            <p className="notice warn">
              <span>
                Your credit does not cover what is set aside. <Link to="/wallet">Top up</Link>, or set a smaller budget.
              </span>
            </p>
          )}
        </>
      )}
    </section>
  );
}
