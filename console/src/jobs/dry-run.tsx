/** A job tried out: checked whole and priced with its real inputs, and nothing held or started. */
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { plural } from "../ui/amounts";
import { Failure, Money } from "../ui/small";
import type { Request } from "./request";

export function DryRun({
  ready,
  request,
  onDone,
}: {
  ready: boolean;
  request: () => Promise<Request>;
  onDone: () => void;
}) {
  const [said, setSaid] = useState<Schemas["DryRunOut"] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const go = async () => {
    setBusy(true);
    setError(null);
    try {
      setSaid(await api.post("/api/v1/jobs/dry-run", { body: await request() }));
    } catch (reason) {
      setError(reason);
    }
    setBusy(false);
    onDone();
  };
  return (
    <div className="stack tight" role="status">
      <button type="button" className="button" disabled={busy || !ready} onClick={() => void go()}>
        {busy ? "Checking …" : "Only check it"}
      </button>
      {error !== null && <Failure error={error} />}
      {said && (
        <p className="notice small">
          It would start: {plural(said.items, "item")} in {plural(said.subtasks, "part")} of up to{" "}
          {said.items_per_subtask}, <Money of={said.quote.hold} /> set aside
          {said.affordable ? "." : ", which your credit does not cover."} Nothing was started or charged.
        </p>
      )}
    </div>
  );
}
