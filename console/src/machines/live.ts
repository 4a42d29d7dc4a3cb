/** What an agent tells of its machine. It is an open object whose fields differ by the agent's version, so each is read with care. */
import type { Schemas } from "../api/client";
import type { Reason } from "./reasons";

type Machine = Schemas["ProviderOut"];

export interface Device {
  name: string;
  utilisation: number | null;
  memoryUsedGib: number | null;
  memoryGib: number | null;
  temperatureC: number | null;
  powerW: number | null;
}
export interface Holding {
  by: string;
  detail: string;
  until: string | null;
}
export interface Live {
  slots: ReadonlyMap<number, string>;
  cpuPercent: number | null;
  devices: Device[];
  holding: Holding | null;
}

const record = (value: unknown) =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
const list = (value: unknown) => (Array.isArray(value) ? value.map(record) : []);
const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const words = (value: unknown) => (typeof value === "string" && value ? value : null);

export function liveOf(machine: Machine): Live {
  const state = record(machine.agent_state);
  const holding = record(state.holding);
  return {
    slots: new Map(
      list(state.slots).flatMap((slot): [number, string][] =>
        typeof slot.slot === "number" ? [[slot.slot, words(slot.state) ?? "unknown"]] : [],
      ),
    ),
    cpuPercent: number(record(state.metrics).cpu_percent),
    devices: list(state.devices).map((device) => ({
      name: words(device.name) ?? words(device.device) ?? "device",
      utilisation: number(device.utilisation_percent),
      memoryUsedGib: number(device.memory_used_gib),
      memoryGib: number(device.memory_gib),
      temperatureC: number(device.temperature_c),
      powerW: number(device.power_w),
    })),
    holding: words(holding.by)
      ? { by: String(holding.by), detail: words(holding.detail) ?? "", until: words(holding.until) }
      : null,
  };
}

const HELD_BY: Record<string, string> = {
  owner: "It was paused on the machine itself.",
  schedule: "It is outside the hours that its owner set.",
  idle: "Somebody uses it; it works only while nobody does.",
  power: "It draws more power than its owner allows.",
  temperature: "It is hotter than its owner allows.",
};

/** "61 °C, 180 W, 3.2 of 8.0 GiB": what is known of a device beyond its load. */
export function deviceText(device: Device): string {
  return [
    device.temperatureC !== null && `${Math.round(device.temperatureC)} °C`,
    device.powerW !== null && `${Math.round(device.powerW)} W`,
    device.memoryGib !== null &&
      `${device.memoryUsedGib === null ? "" : `${device.memoryUsedGib.toFixed(1)} of `}${device.memoryGib.toFixed(1)} GiB`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** What stands between a machine and an income, as far as its own facts say; the fabric knows more. */
export function reasonsOf(machine: Machine, live: Live): Reason[] {
  const problem = (id: string, found: string, remedy: string): Reason => ({
    id,
    status: "problem",
    found,
    needed: "",
    remedy,
  });
  if (machine.status === "offline")
    return [problem("state", "It is off line: no sign of life comes from it.", "Start provider-join on it again.")];
  if (live.holding)
    return [problem("holding", HELD_BY[live.holding.by] ?? "It holds back by itself.", live.holding.detail)];
  if (machine.status === "paused")
    return [problem("state", "It is paused and takes no work.", "Press “Take work again”.")];
  if (machine.status === "enrolled")
    return [problem("state", "It has enrolled and starts its node.", "That takes up to a minute.")];
  if (machine.status === "draining")
    return [problem("state", "It finishes what it has, then leaves.", "Start provider-join again to bring it back.")];
  if (machine.slots.every((slot) => !slot.enabled))
    return [problem("slots", "Every slot is switched off.", "Switch one on below.")];
  return [];
}
