import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { Act } from "../ui/act";
import { Dialog } from "../ui/dialog";
import { Ago, Failure, Field, Status } from "../ui/small";
import { Tip } from "../ui/tip";
import { toast } from "../ui/toasts";
import { FIRST, nextOf, Owner, Paged, StatesHead } from "./paged";

type Machine = Schemas["AnyMachineOut"];
const STATES = ["online", "offline", "paused", "removed"] as const;

export function AllMachines({ user }: { user: string | undefined }) {
  const [status, setStatus] = useState<(typeof STATES)[number] | null>(null);
  const [banning, setBanning] = useState<Machine | null>(null);
  const query = useInfiniteQuery({
    queryKey: ["operator", "machines", status, user],
    queryFn: ({ pageParam }) =>
      api.get("/api/v1/operator/providers", { query: { limit: 50, cursor: pageParam, status, user_id: user ?? null } }),
    initialPageParam: FIRST,
    getNextPageParam: nextOf,
  });
  return (
    <section className="sheet flush">
      <StatesHead title="Machines" states={STATES} shown={status} show={setStatus} user={user} part="machines" />
      <Paged
        query={query}
        nothing="No machine is in that state."
        head={
          <tr>
            <th>Machine</th>
            <th>Owner</th>
            <th>State</th>
            <th className="num">Slots</th>
            <th>
              <span className="visually-hidden">Acts</span>
            </th>
          </tr>
        }
        row={(machine) => (
          <tr key={machine.id}>
            <td data-label="Machine">
              <span className="stack tight">
                <Tip says={machine.id} taps>
                  <strong className="wrap">{machine.name}</strong>
                </Tip>
                <span className="small soft">
                  {machine.region}, {machine.isolation}
                  {machine.address && `, from ${machine.address}`}
                </span>
              </span>
            </td>
            <td data-label="Owner">
              <Owner id={machine.owner_id} email={machine.owner_email} part="machines" />
            </td>
            <td data-label="State">
              <span className="stack tight">
                <Status of={machine.banned ? "failed" : machine.status}>
                  {machine.banned ? "banned" : machine.status}
                </Status>
                <span className="small soft">
                  {machine.banned
                    ? machine.reason
                    : machine.last_heartbeat_at && (
                        <>
                          heard <Ago at={machine.last_heartbeat_at} />
                        </>
                      )}
                </span>
              </span>
            </td>
            <td data-label="Slots" className="num">
              {machine.slots}
            </td>
            <td className="right">
              {!machine.banned && (
                <button type="button" className="button danger small" onClick={() => setBanning(machine)}>
                  Ban
                </button>
              )}
            </td>
          </tr>
        )}
      />
      {banning && <Ban machine={banning} onClose={() => setBanning(null)} />}
    </section>
  );
}

function Ban({ machine, onClose }: { machine: Machine; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const [error, setError] = useState<unknown>(null);
  const client = useQueryClient();
  const ban = () =>
    api
      .post("/api/v1/operator/providers/{provider_id}/ban", {
        path: { provider_id: machine.id },
        body: { reason: reason.trim() },
      })
      .then(() => {
        toast(`${machine.name} is cut off.`);
        onClose();
        return client.invalidateQueries({ queryKey: ["operator", "machines"] });
      }, setError);
  return (
    <Dialog title={`Ban ${machine.name}?`} onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void ban();
        }}
      >
        <p className="soft">
          Its connections end at once and its credential is refused for good. What it earned stays its owner's. A ban
          cannot be undone.
        </p>
        <Field label="Why" hint="For the records; its owner is not told.">
          <input
            type="text"
            required
            maxLength={500}
            value={reason}
            onChange={(event) => setReason(event.target.value)}
          />
        </Field>
        {error !== null && <Failure error={error} />}
        <div className="row">
          <Act type="submit" className="button danger primary" because={reason.trim() ? null : "Say why first."}>
            Ban it
          </Act>
          <button type="button" className="button" onClick={onClose}>
            Leave it
          </button>
        </div>
      </form>
    </Dialog>
  );
}
