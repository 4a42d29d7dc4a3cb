/** More credit: play money at once, or by way of the payment service. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, randomKey } from "../api/client";
import { typedAmount } from "../ui/amounts";
import { Dialog } from "../ui/dialog";
import { DollarInput, Failure, Field } from "../ui/small";
import { toast } from "../ui/toasts";

const SUGGESTED = ["5", "25", "100"];

export function TopUp({ livemode, onClose }: { livemode: boolean; onClose: () => void }) {
  const [amount, setAmount] = useState("25");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [key] = useState(randomKey);
  const client = useQueryClient();
  const exact = typedAmount(amount);
  const pay = async () => {
    if (!exact) return;
    setBusy(true);
    setError(null);
    try {
      const made = await api.post("/api/v1/wallet/top-ups", {
        body: { amount_usd: exact, save_method: false },
        idempotencyKey: `${key}-${exact}`,
      });
      if (made.url) {
        location.assign(made.url);
        return;
      }
      await client.invalidateQueries({ queryKey: ["wallet"] });
      toast(made.livemode ? "Your credit has grown." : "Your play money has grown.");
      onClose();
    } catch (reason) {
      setError(reason);
      setBusy(false);
    }
  };
  return (
    <Dialog title="Top up" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void pay();
        }}
      >
        {!livemode && <p className="notice warn">This fabric runs on play money: nobody pays, and nobody is paid.</p>}
        <Field label="Amount in USD" error={amount && !exact ? "Write an amount such as 25.00." : null}>
          <DollarInput value={amount} onChange={setAmount} />
        </Field>
        <div className="row">
          {SUGGESTED.map((one) => (
            <button type="button" className="button small" key={one} onClick={() => setAmount(one)}>
              ${one}
            </button>
          ))}
        </div>
        {error !== null && <Failure error={error} />}
        <div className="row">
          <button type="submit" className="button primary" disabled={!exact || busy}>
            {livemode ? "Go to payment" : "Add play money"}
          </button>
          <button type="button" className="button" onClick={onClose}>
            Not now
          </button>
        </div>
      </form>
    </Dialog>
  );
}
