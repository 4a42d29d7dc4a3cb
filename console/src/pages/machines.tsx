import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Schemas } from "../api/client";
import { machineEarnings, machineReasons, machines as machinesQuery } from "../api/queries";
import { Join, Tokens } from "../machines/join";
import { MachineSheet } from "../machines/machine";
import { Reasons } from "../machines/reasons";
import { Icon } from "../ui/icons";
import { Empty, Failure, Head, Skeleton } from "../ui/small";
import "../styles/machines.css";

export function MachinesPage() {
  const query = useQuery(machinesQuery);
  const [joining, setJoining] = useState(false);
  const machines = query.data?.data ?? [];
  return (
    <>
      <Head
        title="Machines"
        intro="What you lend. Models run on it in a sandbox, without network and without your files."
      >
        <button type="button" className="button primary" onClick={() => setJoining(true)}>
          <Icon name="plus" /> Add a machine
        </button>
      </Head>
      {joining && <Join known={machines} onClose={() => setJoining(false)} />}
      {query.isPending && <Skeleton />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && machines.length === 0 && !joining && (
        <section className="sheet">
          <Empty
            title="Lend your first machine"
            action={
              <button type="button" className="button primary" onClick={() => setJoining(true)}>
                Show me how
              </button>
            }
          >
            One command on any computer with Python finds and measures what it has. It earns for each second that it
            works; you set the price and may pause it at any time.
          </Empty>
        </section>
      )}
      <div className="stack">
        {machines.map((machine) => (
          <OwnMachine key={machine.id} machine={machine} />
        ))}
      </div>
      <Tokens />
    </>
  );
}

/** A machine with what the fabric says of its earnings and of what stands in their way. */
function OwnMachine({ machine }: { machine: Schemas["ProviderOut"] }) {
  const reasons = useQuery(machineReasons(machine));
  const earnings = useQuery(machineEarnings(machine)).data;
  const why = reasons.data ? (
    <Reasons of={reasons.data.reasons} />
  ) : reasons.error ? (
    <Failure error={reasons.error} retry={() => reasons.refetch()} />
  ) : (
    <Skeleton lines={1} />
  );
  return <MachineSheet machine={machine} reasons={why} {...(earnings && { earnings })} />;
}
