/** What an agent tells of its machine. It is an open object whose fields differ by the agent's version, so each is read with care. */
import type { Schemas } from "../api/client";

type Machine = Schemas["ProviderOut"];

export interface Device {
  name: string;
  utilisation: number | null;
  memoryUsedGib: number | null;
  memoryGib: number | null;
  temperatureC: number | null;
  powerW: number | null;
}
export interface Live {
  slots: ReadonlyMap<number, string>;
  cpuPercent: number | null;
  devices: Device[];
}

const record = (value: unknown) =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
const list = (value: unknown) => (Array.isArray(value) ? value.map(record) : []);
const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const words = (value: unknown) => (typeof value === "string" && value ? value : null);

export function liveOf(machine: Machine): Live {
  const state = record(machine.agent_state);
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
  };
}

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
