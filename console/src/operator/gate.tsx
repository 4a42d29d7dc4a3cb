import { useQuery } from "@tanstack/react-query";
import { api } from "../api/client";
import { countText } from "../ui/amounts";
import { Ago, Empty, Failure, Skeleton } from "../ui/small";

const AGAIN_MS = 10_000;

export function Gate() {
  const query = useQuery({
    queryKey: ["operator", "gate"],
    queryFn: () => api.get("/api/v1/operator/gate"),
    refetchInterval: AGAIN_MS,
  });
  if (query.isPending) return <Skeleton lines={6} />;
  if (query.error) return <Failure error={query.error} retry={() => query.refetch()} />;
  const { reached, refused_total, refused = [], latest = [] } = query.data;
  if (!reached) {
    return (
      <section className="sheet">
        <Empty title="No gate answers here">
          Where machines join from elsewhere, a gate stands between them and this fabric, and tells here what it
          refused.
        </Empty>
      </section>
    );
  }
  if (latest.length === 0) {
    return (
      <section className="sheet">
        <Empty title="Nothing was refused">Every call of a machine since the gate started was one it may make.</Empty>
      </section>
    );
  }
  return (
    <div className="columns">
      <section className="sheet flush">
        <div className="sheet-head">
          <h2>The latest refusals</h2>
        </div>
        <table className="cards">
          <thead>
            <tr>
              <th>Call</th>
              <th>Machine</th>
              <th>When</th>
            </tr>
          </thead>
          <tbody>
            {latest.map((one) => (
              <tr key={`${one.at} ${one.method} ${one.peer}`}>
                <td data-label="Call">
                  <span className="stack tight">
                    <code className="wrap">{one.method}</code>
                    <span className="small soft wrap">
                      {one.reason}: {one.detail}
                    </span>
                  </span>
                </td>
                <td data-label="Machine">
                  <span className="stack tight">
                    <code className="small wrap">{one.provider_id}</code>
                    <span className="small soft">{one.peer}</span>
                  </span>
                </td>
                <td data-label="When" className="soft">
                  <Ago at={one.at} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <section className="sheet">
        <h2>Since the gate started</h2>
        <p className="soft">{countText(refused_total ?? 0)} calls were refused.</p>
        <dl className="pairs">
          {refused.map((one) => (
            <div key={`${one.method} ${one.reason}`} className="pair">
              <dt className="wrap">
                {one.method}, {one.reason}
              </dt>
              <dd className="num">{countText(one.count)}</dd>
            </div>
          ))}
        </dl>
      </section>
    </div>
  );
}
