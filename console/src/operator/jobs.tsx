import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { waitingWords } from "../jobs/words";
import { countText } from "../ui/amounts";
import { Ago, Id, Money, Status } from "../ui/small";
import { FIRST, nextOf, Owner, Paged, StatesHead } from "./paged";

const STATES = ["queued", "running", "succeeded", "failed", "cancelled"] as const;

export function AllJobs({ user }: { user: string | undefined }) {
  const [status, setStatus] = useState<(typeof STATES)[number] | null>(null);
  const query = useInfiniteQuery({
    queryKey: ["operator", "jobs", status, user],
    queryFn: ({ pageParam }) =>
      api.get("/api/v1/operator/jobs", { query: { limit: 50, cursor: pageParam, status, user_id: user ?? null } }),
    initialPageParam: FIRST,
    getNextPageParam: nextOf,
  });
  return (
    <section className="sheet flush">
      <StatesHead title="Jobs" states={STATES} shown={status} show={setStatus} user={user} part="jobs" />
      <Paged
        query={query}
        nothing="No job is in that state."
        head={
          <tr>
            <th>Job</th>
            <th>Owner</th>
            <th>State</th>
            <th className="num">Items</th>
            <th className="num">Charged</th>
          </tr>
        }
        row={(job) => (
          <tr key={job.id}>
            <td data-label="Job">
              <span className="stack tight">
                <strong className="wrap">{job.model}</strong>
                <span className="small">
                  <Id of={job.id} />
                </span>
              </span>
            </td>
            <td data-label="Owner">
              <Owner id={job.owner_id} email={job.owner_email} part="jobs" />
            </td>
            <td data-label="State">
              <span className="stack tight">
                <Status of={job.status} />
                <span className="small soft">
                  {waitingWords(job.waiting_reason)?.[0] ?? job.error_code ?? <Ago at={job.created_at} />}
                </span>
              </span>
            </td>
            <td data-label="Items" className="num">
              {countText(job.items_done)} of {countText(job.items_total)}
            </td>
            <td data-label="Charged" className="num">
              <Money of={job.captured} />
            </td>
          </tr>
        )}
      />
    </section>
  );
}
