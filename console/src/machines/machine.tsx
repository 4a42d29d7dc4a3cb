/** One machine of one's own: how it is, what it does, what it asks, and what can be done with it. */
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { api, type Schemas } from "../api/client";
import { Switch } from "../ui/choose";
import { Confirm } from "../ui/dialog";
import { Menu } from "../ui/menu";
import { Ago, Bar, Id, Money, Status } from "../ui/small";
import { toast, toastError, type Undo } from "../ui/toasts";
import { Earnings, type MachineEarnings } from "./earnings";
import { deviceText, type Live, liveOf } from "./live";
import { MachineSchedule } from "./schedule";
import { type Change, MachineSettings } from "./settings";

type Machine = Schemas["ProviderOut"];
type Slot = Schemas["SlotOut"];
type Asked = "drain" | "remove" | "settings";

/** `reasons`: what stands between it and earnings, in the fabric's words; `earnings`: as the fabric tells them. */
export function MachineSheet({
  machine,
  reasons,
  earnings,
}: {
  machine: Machine;
  reasons: ReactNode;
  earnings?: MachineEarnings;
}) {
  const client = useQueryClient();
  const [asking, setAsking] = useState<Asked | null>(null);
  const renew = () => client.invalidateQueries({ queryKey: ["machines"] });
  const change = (body: Change, words: string, undo?: Undo) =>
    api
      .patch("/api/v1/providers/{provider_id}", { path: { provider_id: machine.id }, body: { slots: [], ...body } })
      .then(async () => {
        await renew();
        toast(words, undo);
      });
  const live = liveOf(machine);
  const lives = machine.status === "online" || machine.status === "draining" || machine.status === "paused";
  return (
    <section className="sheet" aria-label={machine.name}>
      <MachineHead machine={machine} lives={lives} change={change} ask={setAsking} />
      {reasons}
      <div className="scroll">
        <table className="cards slots">
          <thead>
            <tr>
              <th>Slot</th>
              <th>Device</th>
              <th className="num">Speed, runs a second</th>
              <th className="num">Memory</th>
              <th>Now</th>
              <th className="num">For an hour</th>
              <th>Takes work</th>
            </tr>
          </thead>
          <tbody>
            {machine.slots.map((slot) => (
              <SlotRow
                key={slot.slot}
                slot={slot}
                state={lives ? live.slots.get(slot.slot) : undefined}
                onSwitch={(enabled) =>
                  change(...switched(slot, enabled), { act: () => change(...switched(slot, !enabled)) })
                }
              />
            ))}
          </tbody>
        </table>
      </div>
      {lives && <Loads machine={machine} live={live} />}
      {earnings && <Earnings of={earnings} />}
      <MachineSchedule
        machine={machine}
        save={(schedule) => change({ schedule }, `${machine.name} is told its schedule with its next sign of life.`)}
      />
      <Facts machine={machine} />
      {asking && (
        <Asking what={asking} machine={machine} change={change} renew={renew} onClose={() => setAsking(null)} />
      )}
    </section>
  );
}

/** The change that gives a slot work or takes it away, and how it is told. */
function switched({ slot }: Slot, enabled: boolean): [Change, string] {
  return [{ slots: [{ slot, enabled }] }, `Slot ${slot} is switched ${enabled ? "on" : "off"}.`];
}

function MachineHead({
  machine,
  lives,
  change,
  ask,
}: {
  machine: Machine;
  lives: boolean;
  change: (body: Change, words: string, undo?: Undo) => Promise<void>;
  ask: (what: Asked) => void;
}) {
  const facts = machine.capabilities as { cpu?: string; cpu_cores?: number; memory_gib?: number };
  return (
    <div className="row apart">
      <div className="stack tight">
        <div className="row">
          <h2 className="wrap">{machine.name}</h2>
          <Status of={machine.status} />
        </div>
        <span className="small soft">
          {facts.cpu}, {facts.cpu_cores} cores, {facts.memory_gib?.toFixed(1)} GiB, region {machine.region}
          {machine.last_heartbeat_at && (
            <>
              , heard <Ago at={machine.last_heartbeat_at} />
            </>
          )}
        </span>
      </div>
      <div className="row">
        {machine.status === "paused" && !machine.holding && (
          <button
            type="button"
            className="button small"
            onClick={() => change({ state: "online" }, `${machine.name} takes work again.`).catch(toastError)}
          >
            Take work again
          </button>
        )}
        {machine.status === "online" && (
          <button
            type="button"
            className="button small"
            onClick={() =>
              change({ state: "paused" }, `${machine.name} is paused. What runs is finished.`, {
                act: () => change({ state: "online" }, `${machine.name} takes work again.`),
              }).catch(toastError)
            }
          >
            Pause
          </button>
        )}
        <button type="button" className="button small" onClick={() => ask("settings")}>
          Price
        </button>
        <Menu
          small
          label={`More for ${machine.name}`}
          deeds={[
            lives ? { name: "Drain", act: () => ask("drain") } : null,
            { name: "Remove", danger: true, act: () => ask("remove") },
          ]}
        />
      </div>
    </div>
  );
}

function SlotRow({
  slot,
  state,
  onSwitch,
}: {
  slot: Slot;
  state: string | undefined;
  onSwitch: (enabled: boolean) => Promise<void>;
}) {
  return (
    <tr>
      <td data-label="Slot">{slot.slot}</td>
      <td data-label="Device">
        <span>
          {slot.device} <span className="badge">{slot.accelerator}</span>
        </span>
      </td>
      <td className="num" data-label="Speed, runs a second">
        {Math.round(slot.benchmark_runs_per_s).toLocaleString("en-US")}
      </td>
      <td className="num" data-label="Memory">
        {slot.memory_gib.toFixed(1)} GiB
      </td>
      <td data-label="Now">{nowText(slot, state)}</td>
      <td className="num" data-label="For an hour">
        <span>
          <Money of={slot.price_per_hour} />
          {slot.price === "auto" && <span className="small soft"> suggested</span>}
        </span>
      </td>
      <td data-label="Takes work">
        <Switch
          label={`Slot ${slot.slot} takes work`}
          checked={slot.enabled}
          onChange={(enabled) => void onSwitch(enabled).catch(toastError)}
        />
      </td>
    </tr>
  );
}

/** What a slot does now; `state`: what its agent said of it last. */
function nowText(slot: Slot, state: string | undefined): ReactNode {
  if (slot.is_busy)
    return (
      <span className="status accent live">
        {slot.works_on ? `works on ${slot.works_on}` : "works on a private model"}
      </span>
    );
  return slot.enabled ? (state ?? "off line") : "switched off";
}

/** How busy and how hot it is. */
function Loads({ machine, live }: { machine: Machine; live: Live }) {
  const loads = [
    // An agent that tells of its devices tells of its processor among them.
    ...(live.cpuPercent === null || live.devices.length > 0
      ? []
      : [{ name: "Processor", percent: live.cpuPercent, text: "" }]),
    ...live.devices.map((device) => ({ name: device.name, percent: device.utilisation, text: deviceText(device) })),
  ];
  if (loads.length === 0) return null;
  return (
    <div className="loads small">
      {loads.map(({ name, percent, text }, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: devices of one name differ by their place
        <div className="stack tight" key={place}>
          <div className="row apart">
            <span className="soft">{name}</span>
            <span className="num">
              {[text, percent !== null && `${Math.round(percent)} %`].filter(Boolean).join(" · ")}
            </span>
          </div>
          {percent !== null && <Bar thin done={percent} total={100} label={`${name} of ${machine.name}`} />}
        </div>
      ))}
    </div>
  );
}

function Facts({ machine }: { machine: Machine }) {
  const facts = machine.capabilities as { isolation?: string; onnxruntime_version?: string };
  return (
    <details>
      <summary className="small">More about it</summary>
      <dl className="pairs small">
        <dt>Id</dt>
        <dd>
          <Id of={machine.id} />
        </dd>
        <dt>Models run in</dt>
        <dd>{facts.isolation}</dd>
        <dt>ONNX Runtime</dt>
        <dd>{facts.onnxruntime_version}</dd>
        <dt>Agent</dt>
        <dd>{machine.agent_version}</dd>
        <dt>Joined</dt>
        <dd>
          <Ago at={machine.created_at} />
        </dd>
      </dl>
    </details>
  );
}

function Asking({
  what,
  machine,
  change,
  renew,
  onClose,
}: {
  what: Asked;
  machine: Machine;
  change: (body: Change, words: string, undo?: Undo) => Promise<void>;
  renew: () => Promise<void>;
  onClose: () => void;
}) {
  const id = { provider_id: machine.id };
  if (what === "settings")
    return (
      <MachineSettings
        machine={machine}
        onClose={onClose}
        save={(body) => change(body, "The new price counts for what is given to it from now on.")}
      />
    );
  if (what === "drain")
    return (
      <Confirm
        title={`Drain ${machine.name}?`}
        verb="Drain it"
        danger={false}
        onClose={onClose}
        act={() =>
          api.post("/api/v1/providers/{provider_id}/drain", { path: id }).then(() => {
            toast("It finishes what runs, then leaves.");
            return renew();
          })
        }
      >
        It finishes what runs, takes nothing new, then leaves. Start <code>provider-join</code> again to bring it back.
      </Confirm>
    );
  return (
    <Confirm
      title={`Remove ${machine.name}?`}
      verb="Remove it"
      onClose={onClose}
      act={() =>
        api.delete("/api/v1/providers/{provider_id}", { path: id }).then(() => {
          toast(`${machine.name} is removed.`);
          return renew();
        })
      }
    >
      Its credential is refused and its node ended at once; what runs on it is given to others and not paid. What it
      earned stays yours. Drain it first to lose nothing.
    </Confirm>
  );
}
