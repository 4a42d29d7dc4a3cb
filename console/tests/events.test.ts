import { expect, test } from "vitest";
import type { Schemas } from "../src/api/client";
import { EventParser } from "../src/api/events";
import { after } from "../src/jobs/live";

const stream =
  'retry: 1500\n\nid: 1\nevent: job.queued\ndata: {"status": "queued"}\n\n: still here\n\nid: 2\nevent: job.started\ndata: {"status": "running"}\n\n';

test("events come out whole, however the stream is cut", () => {
  for (let size = 1; size < stream.length; size += 1) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < stream.length; at += size) events.push(...parser.push(stream.slice(at, at + size)));
    expect(events.map((event) => [event.id, event.type])).toEqual([
      [1, "job.queued"],
      [2, "job.started"],
    ]);
    expect(parser.retryMs).toBe(1500);
  }
});

const money = (usd_nanos: number) => ({ usd_nanos, usd: (usd_nanos / 1e9).toFixed(9) });
const job = {
  status: "running",
  waiting_reason: "no_capacity",
  progress: {
    items_done: 0,
    items_failed: 0,
    items_total: 20,
    subtasks_done: 0,
    subtasks_total: 4,
    subtasks_leased: 0,
  },
  cost: { held: money(1000), captured: money(0), released: money(0), commission: money(0) },
} as Schemas["JobOut"];

test("progress moves counts and cost, and ends the waiting", () => {
  const next = after(job, {
    id: 3,
    type: "job.progress",
    data: { status: "succeeded", items_done: 20, subtasks_done: 4, captured: money(700) },
  });
  expect([next.progress.items_done, next.cost.captured.usd_nanos, next.waiting_reason]).toEqual([20, 700, null]);
  expect(next.status).toBe("running"); // the last progress is not yet the end
});

test("only an ending ends a job", () => {
  const next = after(job, { id: 4, type: "job.succeeded", data: { status: "succeeded", released: money(300) } });
  expect([next.status, next.cost.released.usd_nanos]).toEqual(["succeeded", 300]);
});

test("a job that waits says why", () => {
  expect(after(job, { id: 5, type: "job.waiting", data: { waiting_reason: "funds" } }).waiting_reason).toBe("funds");
});
