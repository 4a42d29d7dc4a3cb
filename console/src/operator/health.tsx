import { useQuery } from "@tanstack/react-query";
import { api } from "../api/client";
import { stats as statsQuery } from "../api/queries";
import { countText } from "../ui/amounts";
import { Fact, Failure, Skeleton, Status } from "../ui/small";

const AGAIN_MS = 10_000;

export function Health() {
  const query = useQuery({
    queryKey: ["operator", "health"],
    queryFn: () => api.get("/api/v1/operator/health"),
    refetchInterval: AGAIN_MS,
  });
  const stats = useQuery(statsQuery);
  const wrong = query.data?.parts.filter((part) => part.status === "problem") ?? [];
  return (
    <>
      {query.isPending && <Skeleton lines={6} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && (
        <section className="sheet">
          <div className="row apart">
            <h2>Every part</h2>
            <span className={wrong.length ? "status bad" : "status good"}>
              {wrong.length ? `${wrong.length} not as they should be` : "all as they should be"}
            </span>
          </div>
          <ul className="parts">
            {query.data.parts.map((part) => (
              <li key={part.name}>
                <strong className="first-up">{part.name}</strong>
                <span className="soft">{part.seen}</span>
                <Status of={part.status === "ok" ? "succeeded" : "failed"}>
                  {part.status === "ok" ? "well" : "problem"}
                </Status>
              </li>
            ))}
          </ul>
        </section>
      )}
      {stats.data && (
        <dl className="facts">
          <Fact name="Machines on line">{countText(stats.data.providers_online)}</Fact>
          <Fact name="Slots" note={`${stats.data.slots_busy} busy`}>
            {countText(stats.data.slots_online)}
          </Fact>
          <Fact name="Open jobs">{countText(stats.data.jobs_open)}</Fact>
          <Fact name="Jobs in 24 hours">{countText(stats.data.jobs_day)}</Fact>
          <Fact name="Items in 24 hours">{countText(stats.data.items_day)}</Fact>
        </dl>
      )}
    </>
  );
}
