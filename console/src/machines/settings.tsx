/** Name and price of a machine. */
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schemas } from "../api/client";
import { Act } from "../ui/act";
import { typedAmount } from "../ui/amounts";
import { Dialog } from "../ui/dialog";
import { DollarInput, Failure, Field } from "../ui/small";

export type Change = Partial<Schemas["ProviderChangeIn"]>;

export function MachineSettings({
  machine,
  save,
  onClose,
}: {
  machine: Schemas["ProviderOut"];
  save: (change: Change) => Promise<void>;
  onClose: () => void;
}) {
  const [first] = machine.slots;
  const [name, setName] = useState(machine.name);
  const [auto, setAuto] = useState(machine.slots.every((slot) => slot.price === "auto"));
  const [price, setPrice] = useState(first ? first.price_per_hour.usd.replace(/0+$/, "").replace(/\.$/, "") : "");
  const [error, setError] = useState<unknown>(null);
  const exact = typedAmount(price);
  return (
    <Dialog title={`Price of ${machine.name}`} onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          const asked = auto ? "auto" : exact;
          if (asked)
            save({ price_usd_per_hour: asked, ...(name.trim() !== machine.name && { name: name.trim() }) }).then(
              onClose,
              setError,
            );
        }}
      >
        <fieldset className="stack tight">
          <legend className="label">What it asks for an hour of each slot</legend>
          <label className="check">
            <input type="radio" name="pricing" checked={auto} onChange={() => setAuto(true)} />
            <span>
              What the market suggests <span className="soft small">It follows devices and demand by itself.</span>
            </span>
          </label>
          <label className="check">
            <input type="radio" name="pricing" checked={!auto} onChange={() => setAuto(false)} />
            <span>A price of your own</span>
          </label>
        </fieldset>
        {!auto && (
          <Field
            label="For an hour of each slot"
            hint="You get this less the platform's commission. Work that is given already keeps its price."
            error={exact ? null : "Write an amount such as 0.25."}
          >
            <DollarInput value={price} onChange={setPrice} />
          </Field>
        )}
        <p className="small">
          <Link to="/marketplace">See what others ask</Link>
        </p>
        <Field label="Name" hint="As others see it in the marketplace.">
          <input type="text" required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
        </Field>
        {error !== null && <Failure error={error} />}
        <div className="row">
          <Act
            type="submit"
            className="button primary"
            because={!name.trim() ? "Give it a name." : auto || exact ? null : "Write a price such as 0.05."}
          >
            Set it
          </Act>
          <button type="button" className="button" onClick={onClose}>
            Keep it
          </button>
        </div>
      </form>
    </Dialog>
  );
}
