/** When a machine lends: what counts on it, what waits for it to take it, and the caps that it keeps. */
import { useState } from "react";
import type { Schemas } from "../api/client";
import { Ago, useNow } from "../ui/small";
import { hoursInWords, readHours, wallTime } from "./hours";
import { ScheduleEditor, type Wish } from "./schedule-editor";
import { WeekStrip } from "./schedule-week";
import "../styles/schedule.css";

type Machine = Schemas["ProviderOut"];
type Times = Pick<Schemas["ScheduleWantedOut"], "hours" | "idle_only" | "idle_minutes">;

export function MachineSchedule({ machine, save }: { machine: Machine; save: (wish: Wish) => Promise<void> }) {
  const [editing, setEditing] = useState(false);
  const now = useNow();
  const { schedule: counts, schedule_wanted: wanted } = machine;
  if (!counts)
    return (
      <p className="small soft">
        It has not told when it lends; an agent that is older than this page cannot. Start it with <code>--hours</code>{" "}
        to set its hours.
      </p>
    );
  const rows = counts.hours === null ? null : readHours(counts.hours);
  const lives = machine.status === "online" || machine.status === "paused" || machine.status === "draining";
  return (
    <section className="schedule" aria-label={`Schedule of ${machine.name}`}>
      <div className="stack tight">
        <div className="row">
          <h3>Schedule</h3>
          <button type="button" className="button small" onClick={() => setEditing(true)}>
            Change schedule
          </button>
        </div>
        <p>
          Lends {timesInWords(counts, counts.time_zone)}
          {counts.hours !== null && lives && <Turn of={counts} />}
        </p>
        {wanted && <Waiting wanted={wanted} lives={lives} />}
        <Caps of={machine.caps ?? null} />
      </div>
      {rows && <WeekStrip rows={rows} now={wallTime(now, counts.utc_offset_minutes)} />}
      {editing && <ScheduleEditor machine={machine} save={save} onClose={() => setEditing(false)} />}
    </section>
  );
}

/** "Mon–Fri 22:00–07:00, Europe/Berlin time · only …"; hours that this page cannot read stand as they are written. */
function timesInWords({ hours, idle_only, idle_minutes }: Times, zone?: string): string {
  const rows = hours === null ? null : readHours(hours);
  const when = rows ? hoursInWords(rows) : (hours ?? "at any time");
  return [
    zone && hours !== null ? `${when}, ${zone} time` : when,
    idle_only && `only once nobody used it for ${idle_minutes} min`,
  ]
    .filter(Boolean)
    .join(" · ");
}

function Turn({ of }: { of: Schemas["MachineScheduleOut"] }) {
  return (
    <>
      {" · "}
      <span className={of.is_open ? "good" : "warn"}>{of.is_open ? "open now" : "closed now"}</span>
      {of.changes_at && (
        <>
          , {of.is_open ? "closes" : "opens"} <Ago at={of.changes_at} />
        </>
      )}
    </>
  );
}

function Waiting({ wanted, lives }: { wanted: Schemas["ScheduleWantedOut"]; lives: boolean }) {
  const words = timesInWords(wanted);
  if (wanted.refused)
    return (
      <div className="notice warn small">
        <strong>The machine cannot keep what you set ({words}).</strong>
        <span>It says: {wanted.refused}</span>
      </div>
    );
  return (
    <div className="notice small" role="status">
      <span>
        <strong>{words[0]?.toUpperCase() + words.slice(1)}</strong> waits for the machine to take it.
        {lives ? " That takes some seconds." : " It does so once it is on line."}
      </span>
    </div>
  );
}

function Caps({ of }: { of: Schemas["CapsOut"] | null }) {
  const above = [
    of?.max_power_w != null && `${of.max_power_w} W`,
    of?.max_temperature_c != null && `${of.max_temperature_c} °C`,
  ];
  const said = [
    above.some(Boolean) && `no new work above ${above.filter(Boolean).join(" or ")}`,
    of?.max_memory_gib != null && `at most ${of.max_memory_gib} GiB of memory`,
    of?.max_bandwidth_mbit != null && `at most ${of.max_bandwidth_mbit} Mbit/s each way`,
    of?.max_disk_gib != null && `models on at most ${of.max_disk_gib} GiB of disk`,
  ].filter(Boolean);
  if (said.length === 0) return null;
  return <p className="small soft">Its caps, set on the machine itself: {said.join(", ")}.</p>;
}
