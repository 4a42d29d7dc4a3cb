/** Every movement of one's credit, each with what it was for. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { entries as entriesQuery } from "../api/queries";
import { Ago, Empty, Failure, Money, Older, Skeleton } from "../ui/small";
import { entryWhy, entryWords } from "./words";

export function Entries() {
  const query = useInfiniteQuery(entriesQuery);
  const rows = query.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <section className="sheet flush">
      <div className="sheet-head">
        <h2>What went in and out</h2>
      </div>
      {query.isPending && (
        <div className="empty">
          <Skeleton />
        </div>
      )}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && rows.length === 0 && (
        <Empty title="Nothing yet">
          Top up, and every movement of your credit is listed here, each with what it was for.
        </Empty>
      )}
      {rows.length > 0 && (
        <table className="cards">
          <thead>
            <tr>
              <th>What</th>
              <th className="num">USD</th>
              <th className="num">Available after</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((entry) => (
              <tr key={entry.id}>
                <td data-label="What">
                  <span>
                    {entryWords(entry.kind)}
                    <br />
                    <span className="soft small">
                      {entryWhy(entry.kind) && (
                        <>
                          {entryWhy(entry.kind)}
                          <br />
                        </>
                      )}
                      <Ago at={entry.created_at} />
                      {entry.livemode === false && ", play money"}
                      {entry.job_id && (
                        <>
                          {", "}
                          <Link to="/jobs/$id" params={{ id: entry.job_id }}>
                            see the job
                          </Link>
                        </>
                      )}
                    </span>
                  </span>
                </td>
                <td data-label="USD" className={entry.amount.usd_nanos > 0 ? "num good" : "num"}>
                  <Money of={entry.amount} aligned sign />
                </td>
                <td data-label="Available after" className="num soft">
                  <Money of={entry.balance} aligned />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {query.hasNextPage && (
        <div className="list">
          <div className="line">
            <Older of={query} />
          </div>
        </div>
      )}
    </section>
  );
}
