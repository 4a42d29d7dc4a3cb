import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, expect, test, vi } from "vitest";
import type { Schemas } from "../src/api/client";
import { EventParser } from "../src/api/events";
import { apply, type JobNow, readAgain } from "../src/api/live";
import { Problem } from "../src/api/problem";
import { failed } from "../src/api/queries";

const money = (usd_nanos: number) => ({ usd_nanos, usd: (usd_nanos / 1e9).toFixed(9) });
const job = (id: string, status: Schemas["JobOut"]["status"] = "running") =>
  ({
    id,
    status,
    waiting_reason: "no_capacity",
    progress: {
      items_done: 0,
      items_failed: 0,
      items_total: 9,
      subtasks_done: 0,
      subtasks_total: 3,
      subtasks_leased: 1,
    },
    cost: { held: money(1000), captured: money(0), released: money(0), commission: money(0) },
  }) as Schemas["JobOut"];
const now = (id: string, changes: Partial<JobNow> = {}): JobNow => ({
  id,
  status: "running",
  waiting_reason: null,
  items_total: 9,
  items_done: 6,
  items_failed: 1,
  subtasks_total: 3,
  subtasks_done: 2,
  captured: money(500),
  released: money(0),
  ...changes,
});

function reader(): QueryClient {
  const client = new QueryClient();
  client.setQueryData(["jobs", "recent"], { data: [job("job_1"), job("job_2")] });
  client.setQueryData(["jobs", "list", null], {
    pages: [{ data: [job("job_1")] }, { data: [job("job_2")] }],
    pageParams: [],
  });
  client.setQueryData(["wallet"], { available: money(1) });
  client.setQueryData(["machines"], {
    data: [
      { id: "prv_1", name: "attic" },
      { id: "prv_2", name: "cellar" },
    ],
  });
  return client;
}
const usual = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = usual;
});
function answerWith(body: (path: string) => unknown): void {
  globalThis.fetch = async (path) => Response.json(body(String(path)));
}
function statuses(client: QueryClient): (string | undefined)[] {
  return (client.getQueryData<{ data: Schemas["JobOut"][] }>(["jobs", "recent"])?.data ?? []).map((one) => one.status);
}
const isStale = (client: QueryClient, ...key: (string | null)[]) => client.getQueryState(key)?.isInvalidated;

test("an event's mark is kept as it is, and numbers stay numbers", () => {
  const parser = new EventParser();
  const [first, second] = parser.push("id: jobs=1;wallet=2\nevent: jobs\ndata: {}\n\nid: 7\nevent: x\ndata: {}\n\n");
  expect([first?.mark, first?.id, second?.mark, second?.id]).toEqual(["jobs=1;wallet=2", 0, undefined, 7]);
});

test("progress is laid over every list that shows the job, and nothing is read again for it", () => {
  const client = reader();
  apply(client, { id: 0, type: "jobs", data: { changed: [now("job_2")], gone: [] } });
  const recent = client.getQueryData<{ data: Schemas["JobOut"][] }>(["jobs", "recent"]);
  const list = client.getQueryData<{ pages: { data: Schemas["JobOut"][] }[] }>(["jobs", "list", null]);
  for (const shown of [recent?.data[1], list?.pages[1]?.data[0]]) {
    expect([shown?.progress.items_done, shown?.cost.captured.usd_nanos, shown?.waiting_reason]).toEqual([6, 500, null]);
    expect(shown?.cost.held.usd_nanos).toBe(1000);
  }
  expect(recent?.data[0]).toEqual(job("job_1"));
  expect(isStale(client, "jobs", "recent")).toBe(false);
  const again = { id: 0, type: "jobs", data: { changed: [now("job_9")], gone: [] } };
  apply(client, again);
  expect(client.getQueryData(["jobs", "list", null])).toBe(list); // nothing of a long list is made anew for others
});

test("a new job and one that ends change which lists it belongs to", () => {
  for (const changed of [now("job_3"), now("job_1", { status: "succeeded" })]) {
    const client = reader();
    apply(client, { id: 0, type: "jobs", data: { changed: [changed], gone: [] } });
    expect([isStale(client, "jobs", "recent"), isStale(client, "jobs", "list", null)]).toEqual([true, true]);
  }
});

test("a job that was open and is followed no longer is asked after, and then shown as it ended", async () => {
  const client = reader();
  const asked: string[] = [];
  answerWith((path) => {
    asked.push(path);
    return job(path.split("/").at(-1) ?? "", "succeeded");
  });
  apply(client, { id: 0, type: "jobs", data: { changed: [], gone: ["job_2", "job_7"] } });
  await expect.poll(() => statuses(client)).toEqual(["running", "succeeded"]);
  // Somebody who was away is told all that is followed: what is not among it has ended.
  apply(client, { id: 0, type: "jobs", data: { changed: [now("job_3")], gone: [], whole: true } });
  await expect.poll(() => statuses(client)).toEqual(["succeeded", "succeeded"]);
  expect(asked).toEqual(["/api/v1/jobs/job_2", "/api/v1/jobs/job_1"]);
});

test("what is on its way for the first time when something changes is read once more", async () => {
  const client = new QueryClient();
  const answers = ["as it was", "as it is"];
  const watched = new QueryObserver(client, { queryKey: ["jobs", "list", {}], queryFn: async () => answers.shift() });
  const end = watched.subscribe(() => {});
  readAgain(client, { queryKey: ["jobs", "list"] });
  await expect.poll(() => client.getQueryData(["jobs", "list", {}])).toBe("as it is");
  expect(answers).toEqual([]);
  end();
});

test("what could not be read is read again by itself; a list of which pages are there, and what is refused, is not", () => {
  const failing = (status: number, data?: unknown) =>
    failed({ state: { status: "error", error: new Problem(status, "x", "x", null), data } });
  expect([failing(503), failing(429), failing(503, { data: [] })]).toEqual([true, true, true]);
  expect([failing(404), failing(503, { pages: [] })]).toEqual([false, false]);
  expect(failed({ state: { status: "error", error: new TypeError("nobody answers"), data: undefined } })).toBe(true);
  expect(failed({ state: { status: "success", error: null, data: {} } })).toBe(false);
});

test("to start over leaves alone what is read of a job that has ended", () => {
  const client = reader();
  for (const [id, status] of [
    ["job_1", "running"],
    ["job_2", "succeeded"],
  ] as const) {
    client.setQueryData(["jobs", "one", id], job(id, status));
    client.setQueryData(["jobs", "timeline", id], {});
  }
  apply(client, { id: 0, type: "start_over", data: { topics: ["jobs"] } });
  expect(isStale(client, "jobs", "timeline", "job_1")).toBe(true);
  expect(isStale(client, "jobs", "timeline", "job_2")).toBe(false);
});

test("machines are replaced where they stand; an unknown one is read", () => {
  const client = reader();
  apply(client, { id: 0, type: "machines", data: { changed: [{ id: "prv_2", name: "loft" }], gone: [] } });
  expect(client.getQueryData(["machines"])).toEqual({
    data: [
      { id: "prv_1", name: "attic" },
      { id: "prv_2", name: "loft" },
    ],
  });
  apply(client, { id: 0, type: "machines", data: { changed: [], gone: ["prv_1"] } });
  expect(isStale(client, "machines")).toBe(true);
});

test("money is what the event says, and to start over reads everything again", () => {
  const client = reader();
  apply(client, { id: 0, type: "wallet", data: { available: money(7) } });
  expect(client.getQueryData(["wallet"])).toEqual({ available: money(7) });
  apply(client, { id: 0, type: "start_over", data: { topics: ["jobs"] } });
  expect(
    ["jobs", "machines", "wallet"].map((key) => isStale(client, ...(key === "jobs" ? ["jobs", "recent"] : [key]))),
  ).toEqual([true, true, true]);
});

test("what the fabric works out is read again once its grounds have changed, and no more often than that", () => {
  vi.useFakeTimers();
  const client = reader();
  const old = () =>
    client
      .getQueryCache()
      .findAll({ predicate: (query) => query.state.isInvalidated })
      .map((query) => query.queryKey[0]);
  for (const key of ["offers", "models", "machine-reasons", "machine-earnings"]) client.setQueryData([key, "one"], {});
  for (let time = 0; time < 3; time += 1) apply(client, { id: 0, type: "network", data: { slots_online: time } });
  expect(old()).toEqual([]);
  vi.advanceTimersByTime(3000);
  expect(old()).toEqual(["offers"]);
  vi.advanceTimersByTime(30_000);
  expect(old()).toEqual(["offers", "models", "machine-reasons"]);
  apply(client, { id: 0, type: "machines", data: { changed: [], gone: [] } });
  vi.advanceTimersByTime(5000);
  expect(old()).toContain("machine-earnings");
  vi.useRealTimers();
});
