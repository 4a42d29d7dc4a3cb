import type { Schemas } from "../api/client";
import { typedAmount } from "../ui/amounts";
import { DollarInput, Field } from "../ui/small";
import type { Before, Request } from "./request";

export interface Limits {
  budget: string;
  price: string;
  deadlineMin: string;
  priority: "low" | "normal" | "high";
  accelerators: string[];
  regions: string;
  memory: string;
  ownMachines: boolean;
}

const ACCELERATORS = ["cpu", "cuda", "rocm", "directml", "coreml", "openvino", "npu"];

export function emptyLimits(before: Before | null): Limits {
  return {
    budget: before?.budget_usd ?? "",
    price: before?.max_price_usd_per_hour ?? "",
    deadlineMin: before?.deadline_s ? String(before.deadline_s / 60) : "",
    priority: before?.priority ?? "normal",
    accelerators: before?.requirements?.accelerator ?? [],
    regions: (before?.requirements?.region ?? []).join(", "),
    memory: before?.requirements?.memory_gib_min ? String(before.requirements.memory_gib_min) : "",
    ownMachines: before?.own_machines ?? false,
  };
}

type Work = Omit<Request, "inputs">;
export type LimitName = "budget" | "price" | "deadlineMin" | "memory";

/** The limits as the API takes them, and which of them make no sense. */
export function workOf(limits: Limits, model: string): { body: Work; problems: LimitName[] } {
  const problems: LimitName[] = [];
  const amount = (name: "budget" | "price") => {
    if (!limits[name].trim()) return undefined;
    const exact = typedAmount(limits[name]);
    if (!exact || Number(exact) === 0) problems.push(name);
    return exact ?? undefined;
  };
  const positive = (name: "deadlineMin" | "memory") => {
    if (!limits[name].trim()) return undefined;
    const value = Number(limits[name].replace(",", "."));
    if (!(value > 0)) problems.push(name);
    return value > 0 ? value : undefined;
  };
  const budget = amount("budget");
  const price = amount("price");
  const minutes = positive("deadlineMin");
  const memory = positive("memory");
  const regions = limits.regions
    .split(",")
    .map((region) => region.trim())
    .filter(Boolean);
  const requirements = {
    ...(limits.accelerators.length > 0 && { accelerator: limits.accelerators }),
    ...(regions.length > 0 && { region: regions }),
    ...(memory && { memory_gib_min: memory }),
  } as Schemas["RequirementsIn"];
  const body = {
    model,
    ...(budget && { budget_usd: budget }),
    ...(price && { max_price_usd_per_hour: price }),
    ...(minutes && { deadline_s: minutes * 60 }),
    ...(limits.priority !== "normal" && { priority: limits.priority }),
    ...(limits.ownMachines && { own_machines: true }),
    ...(Object.keys(requirements).length > 0 && { requirements }),
  } as Work;
  return { body, problems };
}

export function LimitsEditor({
  limits,
  onChange,
  problems,
}: {
  limits: Limits;
  onChange: (limits: Limits) => void;
  problems: readonly LimitName[];
}) {
  const set = (change: Partial<Limits>) => onChange({ ...limits, ...change });
  const wrong = (name: LimitName, words: string) => (problems.includes(name) ? words : null);
  return (
    <div className="stack">
      <div className="grid-fields">
        <Field
          label="Budget"
          hint="Never is more charged."
          error={wrong("budget", "Write an amount above zero, such as 1.50.")}
        >
          <DollarInput value={limits.budget} onChange={(budget) => set({ budget })} />
        </Field>
        <Field
          label="Highest price for an hour of a slot"
          error={wrong("price", "Write an amount above zero, such as 0.80.")}
        >
          <DollarInput value={limits.price} onChange={(price) => set({ price })} />
        </Field>
        <Field label="Must end within (minutes)" error={wrong("deadlineMin", "Write a number above zero.")}>
          <input
            type="text"
            inputMode="decimal"
            value={limits.deadlineMin}
            onChange={(event) => set({ deadlineMin: event.target.value })}
          />
        </Field>
        <Field label="Priority">
          <select
            value={limits.priority}
            onChange={(event) => set({ priority: event.target.value as Limits["priority"] })}
          >
            <option value="low">low</option>
            <option value="normal">normal</option>
            <option value="high">high</option>
          </select>
        </Field>
        <Field label="Regions" hint="Separated by commas; empty: anywhere.">
          <input type="text" value={limits.regions} onChange={(event) => set({ regions: event.target.value })} />
        </Field>
        <Field label="At least so much memory (GiB)" error={wrong("memory", "Write a number above zero.")}>
          <input
            type="text"
            inputMode="decimal"
            value={limits.memory}
            onChange={(event) => set({ memory: event.target.value })}
          />
        </Field>
      </div>
      <fieldset className="row">
        <legend className="label">Only on</legend>
        {ACCELERATORS.map((name) => (
          <label className="check" key={name}>
            <input
              type="checkbox"
              checked={limits.accelerators.includes(name)}
              onChange={(event) =>
                set({
                  accelerators: event.target.checked
                    ? [...limits.accelerators, name]
                    : limits.accelerators.filter((one) => one !== name),
                })
              }
            />
            {name}
          </label>
        ))}
        <span className="soft small">None chosen: anything that suits.</span>
      </fieldset>
      <label className="check">
        <input
          type="checkbox"
          checked={limits.ownMachines}
          onChange={(event) => set({ ownMachines: event.target.checked })}
        />
        <span>
          Also use machines of my own <span className="soft small">There it costs and earns nothing.</span>
        </span>
      </label>
    </div>
  );
}
