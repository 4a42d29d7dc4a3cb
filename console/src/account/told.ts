/** What webhooks can be told, and words for how they and their deliveries fare. */
import type { Schemas } from "../api/client";

export const EVENTS = {
  "job.succeeded": "a job is done",
  "job.failed": "a job failed",
  "job.cancelled": "a job was cancelled",
  "job.results_expiring": "results will soon be deleted",
} as const;
export type Event = keyof typeof EVENTS;

export function stateWords(
  webhook: Pick<Schemas["WebhookOut"], "enabled" | "switched_off_because" | "failing_since">,
): string {
  if (!webhook.enabled) return webhook.switched_off_because ? `off: ${webhook.switched_off_because}` : "off";
  return webhook.failing_since ? "on, but nothing comes through" : "on";
}

export function deliveryWords(
  delivery: Pick<Schemas["DeliveryOut"], "status" | "attempts" | "failure" | "response_status">,
): string {
  if (delivery.status === "delivered") return `taken (${delivery.response_status})`;
  if (delivery.status === "given_up") return `given up: ${delivery.failure ?? "it was not taken"}`;
  const tries = delivery.attempts === 1 ? "1 try" : `${delivery.attempts} tries`;
  return delivery.failure ? `will be tried again after ${tries}: ${delivery.failure}` : "on its way";
}
