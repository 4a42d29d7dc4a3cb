/**
 * What happens to the account, laid over what the pages have read. One stream serves every tab of a browser: whoever holds the
 * lock follows it and tells the others, since a browser keeps only six connections to one host under HTTP/1.1.
 */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import { type Schemas, session } from "./client";
import { follow, type ServerEvent } from "./events";

const PATH = "/api/v1/events";
const LOCK = "fabric.events";
const REREAD_MS = 3000;
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

/** Lists of jobs, paged or not, with `changed` laid over them; anything else stays as it is. */
export function listsAs(data: unknown, changed: ReadonlyMap<string, JobNow>): unknown {
  if (typeof data !== "object" || data === null) return data;
  if ("pages" in data && Array.isArray(data.pages))
    return { ...data, pages: data.pages.map((page) => listsAs(page, changed)) };
  if (!("data" in data) || !Array.isArray(data.data)) return data;
  const lay = (one: unknown) => {
    const now = isJob(one) ? changed.get(one.id) : undefined;
    return isJob(one) && now ? jobAs(one, now) : one;
  };
  return { ...data, data: data.data.map(lay) };
}

function jobsOf(data: unknown): Job[] {
  if (typeof data !== "object" || data === null) return [];
  if ("pages" in data && Array.isArray(data.pages)) return data.pages.flatMap(jobsOf);
  return "data" in data && Array.isArray(data.data) ? data.data.filter(isJob) : [];
}

/** Lays one event over everything that was read; what it cannot tell is read again where a page shows it. */
export function apply(client: QueryClient, event: ServerEvent): void {
  if (event.type === "start_over") {
    for (const key of ["jobs", "machines", "wallet", "stats"]) void client.invalidateQueries({ queryKey: [key] });
  } else if (event.type === "jobs") {
    applyJobs(client, event.data.changed as JobNow[], event.data.gone as string[]);
  } else if (event.type === "machines") {
    applyMachines(client, event.data.changed as MachineNow[], event.data.gone as string[]);
  } else if (event.type === "wallet") {
    client.setQueryData(["wallet"], event.data as unknown as Schemas["WalletOut"]);
    reread(client, "wallet");
  } else if (event.type === "network") {
    client.setQueryData(["stats"], event.data as unknown as Schemas["StatsOut"]);
  }
}

function applyJobs(client: QueryClient, changed: JobNow[], gone: string[]): void {
  const now = new Map(changed.map((job) => [job.id, job]));
  const lists = client.getQueriesData({ queryKey: ["jobs"] });
  const before = new Map(lists.flatMap(([, data]) => jobsOf(data)).map((job) => [job.id, job.status]));
  // A new job, or one that stands in another state, belongs into other lists than before.
  const moved = gone.length > 0 || changed.some((job) => before.get(job.id) !== job.status);
  client.setQueriesData({ queryKey: ["jobs"] }, (data: unknown) => listsAs(data, now));
  if (!moved) return;
  for (const kind of ["list", "recent"]) void client.invalidateQueries({ queryKey: ["jobs", kind] });
}

function applyMachines(client: QueryClient, changed: MachineNow[], gone: string[]): void {
  const key = ["machines"];
  const known = client.getQueryData<{ data: Schemas["ProviderOut"][] }>(key);
  if (!known || gone.length > 0 || changed.some((one) => !known.data.some((machine) => machine.id === one.id))) {
    void client.invalidateQueries({ queryKey: key });
  } else {
    const now = new Map(changed.map((machine) => [machine.id, machine]));
    client.setQueryData(key, { ...known, data: known.data.map((machine) => now.get(machine.id) ?? machine) });
  }
  reread(client, "machines");
}

const rereads = new Map<string, ReturnType<typeof setTimeout>>();
/** What hangs below a key is read again, once in a while however much happens. */
function reread(client: QueryClient, key: string): void {
  if (rereads.has(key)) return;
  const again = () => {
    rereads.delete(key);
    void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] === key && queryKey.length > 1 });
  };
  rereads.set(key, setTimeout(again, REREAD_MS));
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

/** Follow the account for as long as somebody is signed in here. */
export function useLive(): void {
  const client = useQueryClient();
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const channel = new BroadcastChannel(LOCK);
    channel.onmessage = ({ data }: MessageEvent<ServerEvent | { cut: boolean }>) =>
      "cut" in data ? setCut(data.cut) : apply(client, data);
    let away: ReturnType<typeof setTimeout> | undefined;
    const tell = (next: boolean) => {
      setCut(next);
      channel.postMessage({ cut: next });
    };
    const lead = () =>
      follow(
        PATH,
        {
          onEvent: (event) => {
            apply(client, event);
            channel.postMessage(event);
          },
          onConnected: (connected) => {
            if (connected) {
              clearTimeout(away);
              away = undefined;
              tell(false);
            } else {
              away ??= setTimeout(() => tell(true), CUT_MS);
            }
          },
          isLast: () => false,
        },
        signal,
      );
    const led = "locks" in navigator ? navigator.locks.request(LOCK, { signal }, lead) : lead();
    led.catch(() => !signal.aborted && session.signedIn && setCut(true));
    return () => {
      controller.abort();
      clearTimeout(away);
      channel.close();
      setCut(false);
    };
  }, [client]);
}
