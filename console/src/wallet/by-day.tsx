/** What was spent and earned, day by day. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { history as historyQuery } from "../api/queries";
import { Choose } from "../ui/choose";
import { DayBars } from "../ui/day-bars";
import { Failure, Money, Skeleton } from "../ui/small";

const SPANS = { "7": "7 days", "30": "30 days", "90": "90 days" } as const;

export function ByDay() {
  const [span, setSpan] = useState<keyof typeof SPANS>("30");
  const query = useQuery(historyQuery(Number(span)));
  return (
    <section className="sheet">
      <div className="row apart">
        <h2>By day</h2>
        <Choose label="How many days" names={SPANS} value={span} onChange={setSpan} />
      </div>
      {query.isPending && <Skeleton lines={4} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && (
        <>
          <div className="two-days">
            <DayBars
              name="Spent on jobs"
              kind="spent"
              days={query.data.days.map((one) => ({ day: one.day, amount: one.spent }))}
            />
            <DayBars
              name="Earned by machines"
              kind="earned"
              days={query.data.days.map((one) => ({ day: one.day, amount: one.earned }))}
            />
          </div>
          <p className="soft small">
            This month so far: <Money of={query.data.month.spent} /> spent, <Money of={query.data.month.earned} />{" "}
            earned after commission. Work counts on the UTC day on which it was done; credit that is only set aside is
            not spent.
          </p>
        </>
      )}
    </section>
  );
}
