/** What a new job begins with: the request of an earlier job, or a template. */
import { useQuery } from "@tanstack/react-query";
import { api } from "../api/client";
import { inWords } from "../api/problem";
import { jobRequest } from "./queries";
import type { Request, Before as Said } from "./request";

export interface Before {
  request: Said;
  /** How many items its inputs are; null when it has none or they cannot be used. */
  items: number | null;
  /** Why they cannot be used again. */
  problem: string | null;
}

export function useBefore({ again, inputs, template }: { again?: string; inputs?: "other"; template?: string }) {
  return useQuery({
    queryKey: ["before", again, inputs, template],
    queryFn: async ({ client }): Promise<Before> => {
      const said: Said = again
        ? (await client.fetchQuery(jobRequest(again))).request
        : (await api.get("/api/v1/job-templates/{template}", { path: { template: template ?? "" } })).request;
      return inputs === "other" ? { request: { ...said, inputs: [] }, items: null, problem: null } : counted(said);
    },
    enabled: again !== undefined || template !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
}

/** The fabric counts what lies with it; a file that is gone since is told now and not at the start. */
async function counted(request: Said): Promise<Before> {
  if (!request.model || !request.inputs?.length) return { request, items: null, problem: null };
  try {
    const { items } = await api.post("/api/v1/jobs/dry-run", { body: request as Request });
    return { request, items, problem: null };
  } catch (error) {
    return { request: { ...request, inputs: [] }, items: null, problem: inWords(error) };
  }
}
