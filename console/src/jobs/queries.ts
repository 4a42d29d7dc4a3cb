/** What the pages of jobs read, and how a change of one job reaches the lists without loading thousands again. */
import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "../api/client";
import { type JobStatus, job as jobQuery, PAGE } from "../api/queries";

type Job = Schemas["JobOut"];
export interface JobSearch {
  status?: JobStatus;
  q?: string;
  model?: string;
  label?: string;
  since?: string;
}
type Listed = { pages: { data: Job[]; next_cursor?: string | null | undefined }[]; pageParams: (string | null)[] };

/** All pages that were scrolled through. Never invalidated as a whole: that would load each of them again. */
const OLDER = ["jobs", "older"];

const wanted = ({ status, q, model, label, since }: JobSearch) => ({
  status,
  q,
  model,
  ...(label && { label: [label] }),
  ...(since && { created_after: new Date(`${since}T00:00:00`).toISOString() }),
});
export const jobList = (search: JobSearch) =>
  infiniteQueryOptions({
    queryKey: [...OLDER, search],
    queryFn: ({ pageParam }) =>
      api.get("/api/v1/jobs", { query: { limit: PAGE, cursor: pageParam, ...wanted(search) } }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
    staleTime: Number.POSITIVE_INFINITY,
  });
/** The first page alone: asked again whenever jobs change, and laid over the list. */
export const newestJobs = (search: JobSearch) =>
  queryOptions({
    queryKey: ["jobs", "list", search],
    queryFn: () => api.get("/api/v1/jobs", { query: { limit: PAGE, ...wanted(search) } }),
  });

type Newest = { data: readonly Job[]; next_cursor?: string | null | undefined };

/**
 * The list with the newest page laid over it: each job once, and none that has left what is looked for. As far as the newest page
 * reaches it alone counts; ids grow with time, so its last one says how far that is.
 */
export function withNewest(older: readonly Job[], newest: Newest | undefined, search: JobSearch): Job[] {
  const reach = newest?.next_cursor ? newest.data.at(-1)?.id : undefined;
  const below = newest ? older.filter((job) => reach !== undefined && job.id < reach) : older;
  return [...(newest?.data ?? []), ...below].filter((job) => fits(job, search));
}

/** Whether a job, as events have left it, still belongs into a list; its model and time never change. */
function fits(job: Job, { status, label }: JobSearch): boolean {
  const [name = "", ...value] = label?.split(":") ?? [];
  return (!status || job.status === status) && (!label || job.labels[name] === value.join(":"));
}

/** A job is otherwise than the lists say. */
export function jobChanged(client: QueryClient, job: Job): void {
  client.setQueriesData<Listed>({ queryKey: OLDER }, (listed) =>
    listed?.pages.some((page) => page.data.some((one) => one.id === job.id))
      ? {
          ...listed,
          pages: listed.pages.map((page) => ({
            ...page,
            data: page.data.map((one) => (one.id === job.id ? job : one)),
          })),
        }
      : listed,
  );
  for (const kind of ["list", "recent"]) void client.invalidateQueries({ queryKey: ["jobs", kind] });
  void client.invalidateQueries({ queryKey: ["wallet"] });
}

/** A job has ended, or something was done to it: what is read of it alone is read again. */
export function jobRenewed(client: QueryClient, id: string): void {
  for (const kind of ["one", "timeline", "bill", "results"])
    void client.invalidateQueries({ queryKey: ["jobs", kind, id] });
}

export const timeline = (id: string) =>
  queryOptions({
    queryKey: ["jobs", "timeline", id],
    queryFn: () => api.get("/api/v1/jobs/{job_id}/timeline", { path: { job_id: id } }),
  });
export const bill = (id: string) =>
  queryOptions({
    queryKey: ["jobs", "bill", id],
    queryFn: async () => (await api.get("/api/v1/jobs/{job_id}/bill", { path: { job_id: id } })) as Schemas["BillOut"],
  });
/** What a job was asked for; that never changes. */
export const jobRequest = (id: string) =>
  queryOptions({
    queryKey: ["job-request", id],
    queryFn: () => api.get("/api/v1/jobs/{job_id}/request", { path: { job_id: id } }),
    staleTime: Number.POSITIVE_INFINITY,
  });
/** What the page of a job needs first, asked for at once and beside the page's own code. */
export function lookAhead(client: QueryClient, id: string): void {
  void client.prefetchQuery(jobQuery(id));
  void client.prefetchQuery(timeline(id));
  void client.prefetchQuery(bill(id));
  void client.prefetchQuery(jobRequest(id));
}
export const templates = queryOptions({
  queryKey: ["templates"],
  queryFn: () => api.get("/api/v1/job-templates", { query: { limit: PAGE } }),
});
