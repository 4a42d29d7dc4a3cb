/** What one lets a job, and a day, cost at most. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { typedAmount } from "../ui/amounts";
import { Dialog } from "../ui/dialog";
import { DollarInput, Failure, Field, Skeleton } from "../ui/small";
import { toast } from "../ui/toasts";

export function LimitsDialog({ onClose }: { onClose: () => void }) {
  const query = useQuery({ queryKey: ["wallet", "limits"], queryFn: () => api.get("/api/v1/wallet/limits") });
  return (
    <Dialog title="Your own limits" onClose={onClose}>
      {query.isPending && <Skeleton lines={3} />}
      {query.error && <Failure error={query.error} />}
      {query.data && <LimitsForm limits={query.data} onClose={onClose} />}
    </Dialog>
  );
}

function LimitsForm({ limits, onClose }: { limits: Schemas["LimitsOut"]; onClose: () => void }) {
  const text = (money: Schemas["Money"] | null) => money?.usd.replace(/0+$/, "").replace(/\.$/, "") ?? "";
  const [job, setJob] = useState(text(limits.job));
  const [day, setDay] = useState(text(limits.day));
  const [error, setError] = useState<unknown>(null);
  const client = useQueryClient();
  const wrong = (value: string) => value.trim() !== "" && !typedAmount(value);
  const save = () =>
    api
      .patch("/api/v1/wallet/limits", {
        body: { job_usd: job.trim() ? typedAmount(job) : null, day_usd: day.trim() ? typedAmount(day) : null },
      })
      .then(() => {
        void client.invalidateQueries({ queryKey: ["wallet", "limits"] });
        toast("Your limits count from now on.");
        onClose();
      }, setError);
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <Field
        label="One job, at most"
        hint="Empty: no limit."
        error={wrong(job) ? "Write an amount such as 2.50." : null}
      >
        <DollarInput value={job} onChange={setJob} />
      </Field>
      <Field
        label="All jobs of a day (UTC), at most"
        hint="Empty: no limit."
        error={wrong(day) ? "Write an amount such as 20." : null}
      >
        <DollarInput value={day} onChange={setDay} />
      </Field>
      {error !== null && <Failure error={error} />}
      <div className="row">
        <button type="submit" className="button primary" disabled={wrong(job) || wrong(day)}>
          Save
        </button>
        <button type="button" className="button" onClick={onClose}>
          Leave them
        </button>
      </div>
    </form>
  );
}
