/** What the pages of jobs read, and how a change of one job reaches the lists without loading thousands again. */
import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "../api/client";
import { type JobStatus, PAGE } from "../api/queries";

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

/** The list with the newest page laid over it: each job once, as it was told last. */
export function withNewest(older: readonly Job[], newest: readonly Job[]): Job[] {
  if (newest.length === 0) return [...older];
  const told = new Set(newest.map((job) => job.id));
  return [...newest, ...older.filter((job) => !told.has(job.id))];
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
export const templates = queryOptions({
  queryKey: ["templates"],
  queryFn: () => api.get("/api/v1/job-templates", { query: { limit: PAGE } }),
});
