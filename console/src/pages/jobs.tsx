import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { api, type Schemas } from "../api/client";
import { isOpen, type JobStatus } from "../api/queries";
import { jobChanged, jobList, newestJobs, withNewest } from "../jobs/queries";
import { JobRow } from "../jobs/row";
import { jobs as route } from "../router";
import { Confirm } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { Empty, Failure, Head, Money, Skeleton } from "../ui/small";
import { Tip } from "../ui/tip";
import { toast } from "../ui/toasts";
import "../styles/jobs.css";

type Job = Schemas["JobOut"];
const FILTERS: (JobStatus | undefined)[] = [undefined, "running", "queued", "succeeded", "failed", "cancelled"];
const ROW_PX = 69;
const AHEAD = 30;
const TYPING_MS = 300;

export function JobsPage() {
  const search = route.useSearch();
  const query = useInfiniteQuery(jobList(search));
  const newest = useQuery({ ...newestJobs(search), enabled: query.isSuccess });
  const rows = useMemo(
    () => withNewest(query.data?.pages.flatMap((page) => page.data) ?? [], newest.data, search),
    [query.data, newest.data, search],
  );
  const [cancelling, setCancelling] = useState<Job | null>(null);
  const list = useRef<HTMLUListElement>(null);
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => ROW_PX,
    overscan: 10,
    scrollMargin: list.current?.offsetTop ?? 0,
    getItemKey: (index) => rows[index]?.id ?? index,
  });
  const shown = virtual.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  useEffect(() => {
    if (last >= rows.length - AHEAD && hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [last, rows.length, hasNextPage, isFetchingNextPage, fetchNextPage]);
  const narrowed = Object.keys(search).length > 0;

  return (
    <>
      <Head title="Jobs">
        <Link to="/jobs/new" className="button primary">
          <Icon name="plus" /> New job
        </Link>
      </Head>
      <Filters />
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      <section className="sheet flush" aria-label="Jobs">
        {query.isPending && (
          <div className="empty">
            <Skeleton lines={6} />
          </div>
        )}
        {query.data && rows.length === 0 && (
          <Empty
            title={narrowed ? "No job of yours fits" : "No jobs yet"}
            action={
              <Link to={narrowed ? "/jobs" : "/jobs/new"} search={{}} className="button primary">
                {narrowed ? "Show all jobs" : "Start your first job"}
              </Link>
            }
          >
            {narrowed
              ? "Nothing is in that state, under that name or with that label."
              : "A job is a model and a pile of inputs. It is split over many machines and comes back in order."}
          </Empty>
        )}
        <ul className="list virtual" ref={list} style={{ height: virtual.getTotalSize() }}>
          {shown.map((item) => {
            const job = rows[item.index];
            return (
              job && (
                <li
                  key={job.id}
                  data-index={item.index}
                  ref={virtual.measureElement}
                  style={{ transform: `translateY(${item.start - virtual.options.scrollMargin}px)` }}
                >
                  <div className="job-entry">
                    <JobRow job={job} />
                    {isOpen(job) && (
                      <Tip says="Cancel this job">
                        <button
                          type="button"
                          className="icon-button"
                          aria-label={`Cancel ${job.model}`}
                          onClick={() => setCancelling(job)}
                        >
                          <Icon name="close" size={16} />
                        </button>
                      </Tip>
                    )}
                  </div>
                </li>
              )
            );
          })}
        </ul>
      </section>
      {isFetchingNextPage && <Skeleton lines={1} />}
      {cancelling && <Cancel job={cancelling} onClose={() => setCancelling(null)} />}
    </>
  );
}

function Filters() {
  const search = route.useSearch();
  const navigate = useNavigate();
  const asked = search.label ?? search.q ?? "";
  const [text, setText] = useState(asked);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    setText((typed) => (typed.trim() === asked ? typed : asked)); // it was changed from elsewhere
    return () => clearTimeout(timer.current);
  }, [asked]);
  const look = (typed: string) => {
    setText(typed);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const { q: _, label: __, ...rest } = search;
      const wanted = typed.trim();
      // "name:value" asks for that label exactly; anything else is looked for in names and labels.
      const next = !wanted ? rest : /^[\w.-]+:.+/.test(wanted) ? { ...rest, label: wanted } : { ...rest, q: wanted };
      void navigate({ to: "/jobs", search: next, replace: true });
    }, TYPING_MS);
  };
  return (
    <div className="filters">
      <nav className="segments" aria-label="Filter by state">
        {FILTERS.map((status) => {
          const { status: _, ...rest } = search;
          return (
            <Link
              key={status ?? "all"}
              to="/jobs"
              search={status ? { ...rest, status } : rest}
              activeOptions={{ exact: true }}
              replace
            >
              {status ?? "all"}
            </Link>
          );
        })}
      </nav>
      <input
        type="search"
        aria-label="Search by model or label"
        placeholder="model, label, or name:value"
        maxLength={200}
        value={text}
        onChange={(event) => look(event.target.value)}
      />
      <label className="row small soft">
        since
        <input
          type="date"
          value={search.since ?? ""}
          onChange={(event) => {
            const { since: _, ...rest } = search;
            const since = event.target.value;
            void navigate({ to: "/jobs", search: since ? { ...rest, since } : rest, replace: true });
          }}
        />
      </label>
    </div>
  );
}

function Cancel({ job, onClose }: { job: Job; onClose: () => void }) {
  const client = useQueryClient();
  return (
    <Confirm
      title={`Cancel ${job.model}?`}
      verb="Cancel the job"
      onClose={onClose}
      act={async () => {
        jobChanged(client, await api.post("/api/v1/jobs/{job_id}/cancel", { path: { job_id: job.id } }));
        toast("Cancelled. The rest of what was set aside is yours again.");
      }}
    >
      What is done is kept and stays paid: <Money of={job.cost.captured} /> so far. Nothing more is charged, and the
      rest of the <Money of={job.cost.held} /> set aside comes back at once.
    </Confirm>
  );
}
