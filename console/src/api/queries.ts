/** What the pages read. A key begins with the noun that a change of it invalidates. */
import { infiniteQueryOptions, keepPreviousData, QueryClient, queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "./client";
import { Problem } from "./problem";

export const PAGE = 100;
export type JobStatus = Schemas["JobOut"]["status"];
type Page = { next_cursor?: string | null | undefined };

const FAILED_AGAIN_MS = 10_000;
/** Whether the same question may be answered another time. */
const passes = (error: unknown) => !(error instanceof Problem && error.status < 500 && error.status !== 429);

/** Whether a query failed for now; not a list of which some pages are there, as all of them would be read again. */
export const failed = ({
  state: { status, error, data },
}: {
  state: { status: string; error: unknown; data: unknown };
}) => status === "error" && passes(error) && !(typeof data === "object" && data !== null && "pages" in data);

export const queries = new QueryClient({
  defaultOptions: {
    // The fabric may be on this machine: whether the browser believes that it is on line says nothing about it.
    mutations: { networkMode: "always" },
    queries: {
      networkMode: "always",
      staleTime: 2000,
      retry: (failures, error) => failures < 2 && passes(error),
      // What could not be read for a while is read again by itself, for as long as a page shows it.
      refetchInterval: (query) => (failed(query) ? FAILED_AGAIN_MS : false),
    },
  },
});

const nextOf = (page: Page) => page.next_cursor ?? null;
const first = null as string | null;

export const me = queryOptions({ queryKey: ["me"], queryFn: () => api.get("/api/v1/auth/me"), staleTime: 60_000 });
/** How large files, models and jobs may be; that changes with the fabric alone. */
export const sizes = queryOptions({
  queryKey: ["sizes"],
  queryFn: () => api.get("/api/v1/limits"),
  staleTime: Number.POSITIVE_INFINITY,
});
export const stats = queryOptions({
  queryKey: ["stats"],
  queryFn: () => api.get("/api/v1/marketplace/stats"),
});
export const wallet = queryOptions({ queryKey: ["wallet"], queryFn: () => api.get("/api/v1/wallet") });

export const history = (days: number) =>
  queryOptions({
    queryKey: ["wallet", "history", days],
    queryFn: () => api.get("/api/v1/wallet/history", { query: { days } }),
  });

export const entries = infiniteQueryOptions({
  queryKey: ["wallet", "entries"],
  queryFn: ({ pageParam }) => api.get("/api/v1/wallet/entries", { query: { limit: PAGE, cursor: pageParam } }),
  initialPageParam: first,
  getNextPageParam: nextOf,
});

export const recentJobs = queryOptions({
  queryKey: ["jobs", "recent"],
  queryFn: () => api.get("/api/v1/jobs", { query: { limit: 8 } }),
});
export const job = (id: string) =>
  queryOptions({
    queryKey: ["jobs", "one", id],
    queryFn: () => api.get("/api/v1/jobs/{job_id}", { path: { job_id: id } }),
  });
export const results = (id: string) =>
  queryOptions({
    queryKey: ["jobs", "results", id],
    queryFn: () => api.get("/api/v1/jobs/{job_id}/results", { path: { job_id: id } }),
  });
export const models = infiniteQueryOptions({
  queryKey: ["models", "list"],
  queryFn: ({ pageParam }) => api.get("/api/v1/models", { query: { limit: PAGE, cursor: pageParam } }),
  initialPageParam: first,
  getNextPageParam: nextOf,
});
export const model = (reference: string) =>
  queryOptions({
    queryKey: ["models", "one", reference],
    queryFn: () => api.get("/api/v1/models/{reference}", { path: { reference } }),
  });
export const versions = (reference: string) =>
  queryOptions({
    queryKey: ["models", "versions", reference],
    queryFn: () => api.get("/api/v1/models/{reference}/versions", { path: { reference }, query: { limit: PAGE } }),
  });

export const machines = queryOptions({
  queryKey: ["machines"],
  queryFn: () => api.get("/api/v1/providers", { query: { limit: 200 } }),
});
/** What the fabric works out for one machine: asked when its state changes and when `live.ts` says so, not at each of its heartbeats. */
export const machineEarnings = (machine: Schemas["ProviderOut"]) =>
  queryOptions({
    queryKey: ["machine-earnings", machine.id],
    queryFn: () => api.get("/api/v1/providers/{provider_id}/earnings", { path: { provider_id: machine.id } }),
  });
export const machineReasons = (machine: Schemas["ProviderOut"]) =>
  queryOptions({
    queryKey: [
      "machine-reasons",
      machine.id,
      machine.status,
      machine.holding?.by,
      machine.holding?.until,
      machine.slots.map((slot) => [slot.enabled, slot.price_per_hour.usd_nanos]),
    ],
    queryFn: () => api.get("/api/v1/providers/{provider_id}/reasons", { path: { provider_id: machine.id } }),
    placeholderData: keepPreviousData, // until its new state is worked out, a moment later
  });
export const joinTokens = queryOptions({
  queryKey: ["join-tokens"],
  queryFn: () => api.get("/api/v1/providers/join-tokens", { query: { limit: PAGE } }),
});
/** With what an item of `model` takes on each, unless it is empty. */
export const offers = (model = "") =>
  queryOptions({
    queryKey: ["offers", model],
    queryFn: () => api.get("/api/v1/marketplace/offers", { query: { limit: 200, ...(model && { model }) } }),
  });
export const apiKeys = queryOptions({
  queryKey: ["api-keys"],
  queryFn: () => api.get("/api/v1/api-keys", { query: { limit: PAGE } }),
});

export function isOpen(job: { status: JobStatus }): boolean {
  return job.status === "queued" || job.status === "running";
}
