/** What a job costs: the sums beside it, and each line of the bill. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Schemas } from "../api/client";
import { isOpen } from "../api/queries";
import { countText, plural, secondsText } from "../ui/amounts";
import { saveAs } from "../ui/download";
import { Icon } from "../ui/icons";
import { Bar, Failure, Money, Skeleton } from "../ui/small";
import { toastError } from "../ui/toasts";
import { bill as billQuery } from "./queries";

type Job = Schemas["JobOut"];
type Line = Schemas["BillLineOut"];
const LINES_FIRST = 12;
const SHARES_SHOWN = 8;

export function Bill({ job }: { job: Job }) {
  const shares = job.cost.by_provider ?? [];
  const { cost } = job;
  return (
    <section className="sheet">
      <h2>{isOpen(job) ? "Bill so far" : "Bill"}</h2>
      {shares.length > 0 && (
        <ul className="list tightly">
          {shares.slice(0, SHARES_SHOWN).map((share) => (
            <li key={share.provider_id} className="row apart">
              <span>
                {share.name}
                <br />
                <span className="small soft">
                  {plural(share.subtasks, "part")}, {secondsText(share.seconds)} billed
                </span>
              </span>
              <Money of={share.gross} aligned />
            </li>
          ))}
          {shares.length > SHARES_SHOWN && (
            <li className="small soft">and {plural(shares.length - SHARES_SHOWN, "more machine", "more machines")}</li>
          )}
        </ul>
      )}
      <dl className="bill">
        <dt>Charged{isOpen(job) ? " so far" : ""}</dt>
        <dd>
          <strong>
            <Money of={cost.captured} aligned />
          </strong>
        </dd>
        <dt className="soft">of it to the platform</dt>
        <dd className="soft">
          <Money of={cost.commission} aligned />
        </dd>
        <dt>Set aside at the start</dt>
        <dd>
          <Money of={cost.held} aligned />
        </dd>
        {!isOpen(job) && (
          <>
            <dt>Given back</dt>
            <dd>
              <Money of={cost.released} aligned />
            </dd>
          </>
        )}
      </dl>
      {cost.held.usd_nanos > 0 && (
        <Bar thin done={cost.captured.usd_nanos} total={cost.held.usd_nanos} label="Charged of what was set aside" />
      )}
      <p className="small soft">
        Only seconds of tries that delivered are charged. Loading a model, waiting and failed tries cost nothing.
      </p>
      {job.own_machines && <p className="small soft">Parts that ran on machines of your own cost nothing.</p>}
    </section>
  );
}

export function Itemised({ job }: { job: Job }) {
  const query = useQuery(billQuery(job.id));
  const [all, setAll] = useState(false);
  const lines = [...(query.data?.charged ?? []), ...(query.data?.free ?? [])];
  return (
    <section className="sheet">
      <div className="sheet-head">
        <h2>Itemised</h2>
        <button
          type="button"
          className="button small"
          onClick={() => saveAs(`/api/v1/jobs/${job.id}/bill?format=csv`, `bill-${job.id}.csv`).catch(toastError)}
        >
          <Icon name="download" size={15} /> .csv
        </button>
      </div>
      {query.isPending && <Skeleton lines={3} />}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      {query.data && lines.length === 0 && <p className="soft">Nothing has been run yet, so nothing is charged.</p>}
      {lines.length > 0 && (
        <div className="scroll">
          <table className="cards slots">
            <thead>
              <tr>
                <th>Machine</th>
                <th className="num">Parts</th>
                <th className="num">Billed</th>
                <th className="num">An hour</th>
                <th className="num">Amount</th>
              </tr>
            </thead>
            <tbody>
              {lines.slice(0, all ? undefined : LINES_FIRST).map((line) => (
                <BillRow key={keyOf(line)} line={line} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {!all && lines.length > LINES_FIRST && (
        <div>
          <button type="button" className="button small" onClick={() => setAll(true)}>
            Show all {countText(lines.length)} lines
          </button>
        </div>
      )}
    </section>
  );
}

function BillRow({ line }: { line: Line }) {
  return (
    <tr>
      <td data-label="Machine">
        <span>
          {line.provider_name} <span className="soft">slot {line.slot}</span>
          {line.detail && <span className="small soft block">{line.detail}</span>}
        </span>
      </td>
      <td className="num" data-label="Parts">
        {countText(line.subtasks)}
      </td>
      <td className="num" data-label="Billed">
        {line.reason ? "" : secondsText(line.seconds)}
      </td>
      <td className="num" data-label="An hour">
        {line.reason ? "" : <Money of={line.rate} />}
      </td>
      <td className="num" data-label="Amount">
        {line.reason ? <span className="soft">nothing</span> : <Money of={line.amount} aligned />}
      </td>
    </tr>
  );
}

const keyOf = (line: Line) => `${line.provider_id} ${line.slot} ${line.rate.usd_nanos} ${line.reason} ${line.detail}`;
