import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { type JobStatus, jobs as jobsQuery } from "../api/queries";
import { JobRow } from "../jobs/row";
import { jobs as route } from "../router";
import { Icon } from "../ui/icons";
import { Empty, Failure, Head, Skeleton } from "../ui/small";

const FILTERS: (JobStatus | undefined)[] = [undefined, "running", "queued", "succeeded", "failed", "cancelled"];
const ROW_PX = 69;
const AHEAD = 20;

export function JobsPage() {
  const { status } = route.useSearch();
  const query = useInfiniteQuery(jobsQuery(status ?? null));
  const rows = query.data?.pages.flatMap((page) => page.data) ?? [];
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

  return (
    <>
      <Head title="Jobs">
        <Link to="/jobs/new" className="button primary">
          <Icon name="plus" /> New job
        </Link>
      </Head>
      <nav className="segments" aria-label="Filter by state">
        {FILTERS.map((one) => (
          <Link
            key={one ?? "all"}
            to="/jobs"
            search={one ? { status: one } : {}}
            activeOptions={{ exact: true }}
            replace
          >
            {one ?? "all"}
          </Link>
        ))}
      </nav>
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      <section className="sheet flush" aria-label="Jobs">
        {query.isPending && (
          <div className="empty">
            <Skeleton lines={6} />
          </div>
        )}
        {query.data && rows.length === 0 && (
          <Empty
            title={status ? `No job is ${status}` : "No jobs yet"}
            action={
              <Link to={status ? "/jobs" : "/jobs/new"} search={{}} className="button primary">
                {status ? "Show all jobs" : "Start your first job"}
              </Link>
            }
          >
            {status
              ? "Nothing of yours is in that state now."
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
                  <JobRow job={job} />
                </li>
              )
            );
          })}
        </ul>
      </section>
      {isFetchingNextPage && <Skeleton lines={1} />}
    </>
  );
}
