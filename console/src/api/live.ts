/**
 * What happens to the account, laid over what the pages have read. One stream serves every tab of a browser: whoever holds the
 * lock follows it and tells the others, since a browser keeps only six connections to one host under HTTP/1.1.
 */
import { type QueryClient, type QueryFilters, useQueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import { type Schemas, session } from "./client";
import { type Following, follow, type ServerEvent } from "./events";
import { failed, isOpen, job as jobQuery } from "./queries";

const PATH = "/api/v1/events";
const LOCK = "fabric.events";
const REREAD_MS = 3000;
/** What the fabric works out and no event has: by what tells that it may be otherwise, and how soon it is read again at most. */
const WORKED_OUT_MS = {
  network: { offers: REREAD_MS, models: 10_000, "machine-reasons": 30_000 },
  machines: { "machine-earnings": 5000 },
} as const;
/** So many jobs are asked after one by one; if more have ended unseen, lists are read again. */
const ASKED_AFTER_MAX = 20;
/** A stream also ends by itself now and then; only one that stays away for longer is worth a word. */
const CUT_MS = 5000;

export interface JobNow {
  id: string;
  status: Schemas["JobOut"]["status"];
  waiting_reason: string | null;
  items_total: number;
  items_done: number;
  items_failed: number;
  subtasks_total: number;
  subtasks_done: number;
  captured: Schemas["Money"];
  released: Schemas["Money"];
}
type MachineNow = Schemas["ProviderOut"] & { slots_busy: number; earned: Schemas["Money"] };
type Job = Schemas["JobOut"];
interface JobsEvent {
  changed: JobNow[];
  gone: string[];
  /** `changed` is all that is followed. */
  whole?: boolean;
}
interface MachinesEvent {
  changed: MachineNow[];
  gone: string[];
  whole?: boolean;
}
const OF_ONE = new Set<unknown>(["one", "timeline", "bill", "results"]);

/** A listed job as it is now. */
export function jobAs(job: Job, now: JobNow): Job {
  const { items_total, items_done, items_failed, subtasks_total, subtasks_done } = now;
  return {
    ...job,
    status: now.status,
    waiting_reason: now.waiting_reason,
    progress: { ...job.progress, items_total, items_done, items_failed, subtasks_total, subtasks_done },
    cost: { ...job.cost, captured: now.captured, released: now.released },
  };
}

const isJob = (one: unknown): one is Job =>
  typeof one === "object" && one !== null && "progress" in one && "cost" in one;

/** Lists of jobs, paged or not, with `change` made of each of their jobs. What stays as it is stays the same object: lists are long. */
function mapped(data: unknown, change: (job: Job) => Job): unknown {
  if (typeof data !== "object" || data === null) return data;
  const renewed = (list: unknown[], one: (value: unknown) => unknown) => {
    const next = list.map(one);
    return next.some((value, index) => value !== list[index]) ? next : null;
  };
  if ("pages" in data && Array.isArray(data.pages)) {
    const pages = renewed(data.pages, (page) => mapped(page, change));
    return pages ? { ...data, pages } : data;
  }
  if (!("data" in data) || !Array.isArray(data.data)) return data;
  const jobs = renewed(data.data, (one) => (isJob(one) ? change(one) : one));
  return jobs ? { ...data, data: jobs } : data;
}

/** Lists of jobs with what is told of some laid over them. */
function listsAs(data: unknown, changed: ReadonlyMap<string, JobNow>): unknown {
  return mapped(data, (job) => {
    const now = changed.get(job.id);
    return now ? jobAs(job, now) : job;
  });
}

/** Lists of jobs with this one as it is. */
export function listsWith(data: unknown, job: Job): unknown {
  return mapped(data, (one) => (one.id === job.id ? job : one));
}

function jobsOf(data: unknown): Job[] {
  if (typeof data !== "object" || data === null) return [];
  if ("pages" in data && Array.isArray(data.pages)) return data.pages.flatMap(jobsOf);
  return "data" in data && Array.isArray(data.data) ? data.data.filter(isJob) : [];
}

/** Lays one event over everything that was read; what it cannot tell is read again where a page shows it. */
export function apply(client: QueryClient, event: ServerEvent): void {
  if (event.type === "start_over") {
    startOver(client);
  } else if (event.type === "jobs") {
    applyJobs(client, event.data as unknown as JobsEvent);
  } else if (event.type === "machines") {
    applyMachines(client, event.data as unknown as MachinesEvent);
  } else if (event.type === "wallet") {
    client.setQueryData(["wallet"], event.data as unknown as Schemas["WalletOut"]);
    if (client.isFetching({ queryKey: ["wallet"], exact: true }))
      readAgain(client, { queryKey: ["wallet"], exact: true });
    reread(client, "wallet");
  } else if (event.type === "network") {
    client.setQueryData(["stats"], event.data as unknown as Schemas["StatsOut"]);
    workAgain(client, "network");
  }
}

/** Everything may be old, but what is read of one job only while that runs; what is not yet known of one its own stream tells. */
function startOver(client: QueryClient): void {
  workAgain(client, "network");
  workAgain(client, "machines");
  for (const key of ["machines", "wallet", "stats"]) readAgain(client, { queryKey: [key] });
  const runs = (id: unknown) => {
    const job = client.getQueryData<Job>(["jobs", "one", id]);
    return job !== undefined && isOpen(job);
  };
  readAgain(client, {
    queryKey: ["jobs"],
    predicate: ({ queryKey }) => !OF_ONE.has(queryKey[1]) || runs(queryKey[2]),
  });
}

const waited = new WeakSet<object>();
/**
 * What fits is read again where a page shows it. What is on its way for the first time may have been answered before the change of
 * which we hear now: it is read once more when it is there.
 */
export function readAgain(client: QueryClient, filters: QueryFilters): void {
  for (const query of client.getQueryCache().findAll({ ...filters, fetchStatus: "fetching" })) {
    if (query.state.data !== undefined || waited.has(query)) continue;
    waited.add(query);
    const after = () => {
      waited.delete(query);
      void client.invalidateQueries({ ...filters, queryKey: query.queryKey, exact: true });
    };
    query.promise?.then(after, after);
  }
  void client.invalidateQueries(filters);
}

function applyJobs(client: QueryClient, { changed, gone, whole }: JobsEvent): void {
  const now = new Map(changed.map((job) => [job.id, job]));
  const shown = client.getQueriesData({ queryKey: ["jobs"] }).flatMap(([, data]) => jobsOf(data));
  const before = new Map(shown.map((job) => [job.id, job.status]));
  // A new job, or one that stands in another state, belongs into other lists than before.
  const moved = gone.length > 0 || changed.some((job) => before.get(job.id) !== job.status);
  client.setQueriesData({ queryKey: ["jobs"] }, (data: unknown) => listsAs(data, now));
  const lost = new Set(whole ? shown.map((job) => job.id).filter((id) => !now.has(id)) : gone);
  askAfter(client, new Set(shown.filter((job) => isOpen(job) && lost.has(job.id)).map((job) => job.id)));
  if (!moved) return;
  for (const kind of ["list", "recent"]) readAgain(client, { queryKey: ["jobs", kind] });
}

/** Jobs that we show as open and that nobody follows any more: they have ended, so each is asked after once. */
function askAfter(client: QueryClient, ids: ReadonlySet<string>): void {
  if (ids.size > ASKED_AFTER_MAX) void client.invalidateQueries({ queryKey: ["jobs"] });
  else
    for (const id of ids) {
      client.fetchQuery({ ...jobQuery(id), staleTime: 0 }).then(
        (job) => client.setQueriesData({ queryKey: ["jobs"] }, (data: unknown) => listsWith(data, job)),
        () => client.invalidateQueries({ queryKey: ["jobs"] }),
      );
    }
}

function applyMachines(client: QueryClient, { changed, gone, whole }: MachinesEvent): void {
  const key = ["machines"];
  const known = client.getQueryData<{ data: Schemas["ProviderOut"][] }>(key);
  if (
    whole ||
    !known ||
    gone.length > 0 ||
    changed.some((one) => !known.data.some((machine) => machine.id === one.id))
  ) {
    readAgain(client, { queryKey: key, exact: true });
  } else {
    const now = new Map(changed.map((machine) => [machine.id, machine]));
    client.setQueryData(key, { ...known, data: known.data.map((machine) => now.get(machine.id) ?? machine) });
  }
  workAgain(client, "machines");
}

function workAgain(client: QueryClient, because: keyof typeof WORKED_OUT_MS): void {
  for (const [key, afterMs] of Object.entries(WORKED_OUT_MS[because])) reread(client, key, afterMs);
}

const rereads = new WeakMap<QueryClient, Set<string>>();
/** What hangs below a key is read again, once in a while however much happens. */
function reread(client: QueryClient, key: string, afterMs = REREAD_MS): void {
  const due = rereads.get(client) ?? new Set();
  rereads.set(client, due);
  if (due.has(key)) return;
  due.add(key);
  setTimeout(() => {
    due.delete(key);
    void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] === key && queryKey.length > 1 });
  }, afterMs);
}

let cut = false;
const listeners = new Set<() => void>();
function setCut(next: boolean): void {
  if (next === cut) return;
  cut = next;
  for (const listener of listeners) listener();
}

/** Whether the stream is cut off at the moment, so that pages may be old. */
export function useCut(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => cut,
  );
}

/** A line that stands again: what a page could not read meanwhile is read now. */
function lineStands(client: QueryClient): void {
  setCut(false);
  void client.refetchQueries({ type: "active", predicate: failed });
}

/** Where the account's stream was heard last, by whichever tab: who follows next goes on from there. */
let heard: string | undefined;
function hear(client: QueryClient, event: ServerEvent): void {
  heard = event.mark ?? heard;
  apply(client, event);
}

/** Follow the account for as long as somebody is signed in here. */
export function useLive(): void {
  const client = useQueryClient();
  useEffect(() => followAccount(client), [client]);
}

/** Follow the account, or hear from the tab that does; ends with what is returned. */
export function followAccount(client: QueryClient): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  const channel = new BroadcastChannel(LOCK);
  channel.onmessage = ({ data }: MessageEvent<ServerEvent | { cut: boolean }>) => {
    if (!("cut" in data)) hear(client, data);
    else if (data.cut) setCut(true);
    else lineStands(client);
  };
  let away: ReturnType<typeof setTimeout> | undefined;
  const following: Following = {
    onEvent: (event) => {
      hear(client, event);
      channel.postMessage(event);
    },
    onConnected: (connected) => {
      if (connected) {
        clearTimeout(away);
        away = undefined;
        lineStands(client);
        channel.postMessage({ cut: false });
      } else {
        away ??= setTimeout(() => {
          setCut(true);
          channel.postMessage({ cut: true });
        }, CUT_MS);
      }
    },
    isLast: () => false,
  };
  const lead = () => follow(PATH, following, signal, heard);
  const led = "locks" in navigator ? navigator.locks.request(LOCK, { signal }, lead) : lead();
  led.catch(() => !signal.aborted && session.signedIn && setCut(true));
  return () => {
    controller.abort();
    clearTimeout(away);
    channel.close();
    heard = undefined;
    setCut(false);
  };
}
