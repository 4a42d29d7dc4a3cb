/** A job that is followed: its events are laid over what the API told, so that the page shows one truth. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Schemas } from "../api/client";
import { follow, type ServerEvent } from "../api/events";
import { isOpen, job as jobQuery } from "../api/queries";
import { jobChanged, jobRenewed } from "./queries";

type Job = Schemas["JobOut"];
const ENDINGS = new Set(["job.succeeded", "job.failed", "job.cancelled"]);
const PARTS_AGAIN_MS = 2500;

/** The job as it is after `event`. */
export function after(job: Job, event: ServerEvent): Job {
  const { data } = event;
  const count = (name: "items_done" | "items_failed" | "items_total" | "subtasks_done" | "subtasks_total") =>
    typeof data[name] === "number" ? (data[name] as number) : job.progress[name];
  const money = (name: "captured" | "released") => (data[name] as Schemas["Money"] | undefined) ?? job.cost[name];
  const ended = ENDINGS.has(event.type);
  // The last job.progress says "succeeded" before the job has been closed; only an ending ends it.
  const status = ended
    ? (data.status as Job["status"])
    : event.type === "job.started" || event.type === "job.progress"
      ? "running"
      : job.status;
  const waiting =
    event.type === "job.waiting"
      ? ((data.waiting_reason as string | null) ?? null)
      : ended || event.type === "job.progress"
        ? null
        : (job.waiting_reason ?? null);
  return {
    ...job,
    status,
    waiting_reason: waiting,
    waiting_since: waiting === job.waiting_reason ? (job.waiting_since ?? null) : null,
    progress: {
      ...job.progress,
      items_done: count("items_done"),
      items_failed: count("items_failed"),
      items_total: count("items_total"),
      subtasks_done: count("subtasks_done"),
      subtasks_total: count("subtasks_total"),
    },
    cost: { ...job.cost, captured: money("captured"), released: money("released") },
  };
}

export function useJob(id: string) {
  const client = useQueryClient();
  const query = useQuery(jobQuery(id));
  const [connected, setConnected] = useState(true);
  const open = query.data ? isOpen(query.data) : false;

  useEffect(() => {
    if (!open) return;
    const controller = new AbortController();
    const { queryKey } = jobQuery(id);
    let partsAt = 0;
    const parts = (force: boolean) => {
      if (!force && Date.now() - partsAt < PARTS_AGAIN_MS) return;
      partsAt = Date.now();
      void client.invalidateQueries({ queryKey: ["jobs", "timeline", id] });
    };
    const onEvent = (event: ServerEvent) => {
      const ended = ENDINGS.has(event.type);
      client.setQueryData(queryKey, (job) => job && after(job, event));
      if (event.type === "job.progress" || ended) parts(ended);
      if (ended) {
        jobRenewed(client, id);
        const known = client.getQueryData(queryKey);
        if (known) jobChanged(client, known);
      }
    };
    follow(
      `/api/v1/jobs/${id}/events`,
      { onEvent, onConnected: setConnected, isLast: (event) => ENDINGS.has(event.type) },
      controller.signal,
    ).catch(() => client.invalidateQueries({ queryKey }));
    return () => controller.abort();
  }, [id, open, client]);

  return { ...query, connected: connected || !open };
}
