import { expect, test } from "vitest";
import type { Schemas } from "../src/api/client";
import { deviceText, liveOf } from "../src/machines/live";

const machine = (status: string, agent_state: unknown, enabled = true) =>
  ({ status, agent_state, slots: [{ slot: 0, enabled }] }) as Schemas["ProviderOut"];

test("what an agent tells is read with care, whatever its version leaves out or makes of it", () => {
  const full = liveOf(
    machine("online", {
      slots: [{ slot: 0, state: "busy" }, { state: "of no slot" }, 7],
      metrics: { cpu_percent: 12.5 },
      devices: [{ device: "cuda:0", name: "RTX", utilisation_percent: 80, temperature_c: 61.4, power_w: null }],
    }),
  );
  expect([...full.slots]).toEqual([[0, "busy"]]);
  expect([full.cpuPercent, full.devices[0]?.utilisation, full.devices[0]?.powerW]).toEqual([12.5, 80, null]);
  expect(full.devices.map(deviceText)).toEqual(["61 °C"]);
  for (const odd of [{}, null, "x", { devices: "none", slots: null, metrics: 3 }]) {
    expect(liveOf(machine("online", odd))).toEqual({ slots: new Map(), cpuPercent: null, devices: [] });
  }
});
