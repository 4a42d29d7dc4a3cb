/** Sets when a machine lends: at any time or in certain hours, and whether only while nobody uses it. */
import { type FormEvent, useState } from "react";
import type { Schemas } from "../api/client";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { Failure, Field, useNow } from "../ui/small";
import {
  clock,
  DAY_NAMES,
  type Hours,
  hoursInWords,
  isWhole,
  readHours,
  typedTime,
  wallTime,
  writeHours,
} from "./hours";
import { WeekStrip } from "./schedule-week";

export type Wish = NonNullable<Schemas["ProviderChangeIn"]["schedule"]>;
const PRESETS = [
  ["Nights", "22-7"],
  ["Nights and weekends", "mo-fr 22-7, sa-su 0-24"],
  ["Weekends", "sa-su 0-24"],
] as const;
const IDLE_MINUTES_MAX = 1440;

export function ScheduleEditor({
  machine,
  save,
  onClose,
}: {
  machine: Schemas["ProviderOut"];
  save: (wish: Wish) => Promise<void>;
  onClose: () => void;
}) {
  const before = machine.schedule_wanted ?? machine.schedule;
  const [always, setAlways] = useState(before?.hours == null);
  const [rows, setRows] = useState<Hours[]>(() => readHours(before?.hours ?? "") ?? readHours(PRESETS[0][1]) ?? []);
  const [idleOnly, setIdleOnly] = useState(before?.idle_only ?? false);
  const [minutes, setMinutes] = useState(String(before?.idle_minutes ?? 5));
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const hours = always ? null : writeHours(rows);
  const quiet = Number(minutes);
  const isQuiet = !idleOnly || (quiet > 0 && quiet <= IDLE_MINUTES_MAX);
  const isFit = isQuiet && (always || hours !== null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!isFit || busy) return;
    setBusy(true);
    save({ hours, idle_only: idleOnly, ...(idleOnly && { idle_minutes: quiet }) }).then(onClose, (reason) => {
      setError(reason);
      setBusy(false);
    });
  };
  return (
    <Dialog title={`Schedule of ${machine.name}`} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <fieldset className="stack tight">
          <legend className="label">When it lends</legend>
          <Choice checked={always} onChange={() => setAlways(true)}>
            At any time
          </Choice>
          <Choice checked={!always} onChange={() => setAlways(false)}>
            In certain hours
          </Choice>
        </fieldset>
        {!always && <CertainHours rows={rows} setRows={setRows} schedule={machine.schedule ?? null} />}
        <div className="stack tight">
          <label className="check">
            <input type="checkbox" checked={idleOnly} onChange={(event) => setIdleOnly(event.target.checked)} />
            <span>
              Only while nobody uses it{" "}
              <span className="soft small">Keys, mouse and other programs count as use, as far as it can tell.</span>
            </span>
          </label>
          {idleOnly && (
            <Field
              label="Quiet minutes before it lends"
              error={isQuiet ? null : `Write a number up to ${IDLE_MINUTES_MAX}.`}
            >
              <input
                type="number"
                min="0.5"
                max={IDLE_MINUTES_MAX}
                step="any"
                inputMode="decimal"
                value={minutes}
                onChange={(event) => setMinutes(event.target.value)}
              />
            </Field>
          )}
        </div>
        <p className="small soft">What runs is finished in any case.</p>
        {error !== null && <Failure error={error} />}
        <div className="row">
          <button type="submit" className="button primary" disabled={!isFit || busy}>
            Set it
          </button>
          <button type="button" className="button" onClick={onClose}>
            Keep it
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Choice({ checked, onChange, children }: { checked: boolean; onChange: () => void; children: string }) {
  return (
    <label className="check">
      <input type="radio" name="lending" checked={checked} onChange={onChange} />
      <span>{children}</span>
    </label>
  );
}

function CertainHours({
  rows,
  setRows,
  schedule,
}: {
  rows: Hours[];
  setRows: (rows: Hours[]) => void;
  schedule: Schemas["MachineScheduleOut"] | null;
}) {
  const now = useNow();
  const wall = schedule && wallTime(now, schedule.utc_offset_minutes);
  const text = writeHours(rows);
  const [taken, setTaken] = useState(0); // another preset leaves nothing of what was typed
  return (
    <div className="stack">
      <div className="row hours-presets">
        {PRESETS.map(([name, hours]) => (
          <button
            type="button"
            className="button small"
            key={name}
            aria-pressed={text === hours}
            onClick={() => {
              setRows(readHours(hours) ?? []);
              setTaken(taken + 1);
            }}
          >
            {name}
          </button>
        ))}
      </div>
      {rows.map((row, place) => (
        <HoursRow
          // biome-ignore lint/suspicious/noArrayIndexKey: rows have no name but their place
          key={`${taken} ${place}`}
          place={place}
          row={row}
          onChange={(changed) => setRows(rows.map((one, at) => (at === place ? changed : one)))}
          onRemove={rows.length > 1 ? () => setRows(rows.filter((_, at) => at !== place)) : null}
        />
      ))}
      <div>
        <button
          type="button"
          className="button small quiet"
          onClick={() => setRows([...rows, { days: [], begin: 9 * 60, end: 17 * 60 }])}
        >
          <Icon name="plus" size={15} /> Add hours
        </button>
      </div>
      <WeekStrip rows={rows.filter(isWhole)} now={wall} />
      {text === null ? (
        <p className="small bad" role="alert">
          Each row needs a day and two times that differ, such as 22:00 and 7:30.
        </p>
      ) : (
        <p className="small">
          Lends {hoursInWords(readHours(text) ?? [])}
          {schedule && wall && `, by its own clock: ${schedule.time_zone}, where it is ${clock(wall.minute)} now`}.
        </p>
      )}
    </div>
  );
}

/** Days and two times; a row whose end comes first ends on the next day. */
function HoursRow({
  place,
  row,
  onChange,
  onRemove,
}: {
  place: number;
  row: Hours;
  onChange: (row: Hours) => void;
  onRemove: (() => void) | null;
}) {
  const turn = (day: number, on: boolean) =>
    onChange({ ...row, days: on ? [...row.days, day].sort((a, b) => a - b) : row.days.filter((one) => one !== day) });
  return (
    <fieldset className="hours-row">
      <legend className="visually-hidden">Hours {place + 1}</legend>
      <div className="hours-days">
        {DAY_NAMES.map((name, day) => (
          <label key={name}>
            <input
              type="checkbox"
              aria-label={name}
              checked={row.days.includes(day)}
              onChange={(event) => turn(day, event.target.checked)}
            />
            <span aria-hidden="true">{name.slice(0, 2)}</span>
          </label>
        ))}
      </div>
      <div className="hours-times">
        <Time label="from" value={row.begin} onChange={(begin) => onChange({ ...row, begin })} />
        <Time label="to" value={row.end} onChange={(end) => onChange({ ...row, end })} />
        {onRemove && (
          <button type="button" className="icon-button" aria-label={`Remove hours ${place + 1}`} onClick={onRemove}>
            <Icon name="close" size={16} />
          </button>
        )}
      </div>
    </fieldset>
  );
}

/** A time in words of 24 hours, as the machine reads it; what is typed stands until it is left. NaN: it is no time. */
function Time({ label, value, onChange }: { label: string; value: number; onChange: (minute: number) => void }) {
  const [typed, setTyped] = useState<string | null>(null);
  return (
    <label>
      <span className="small soft">{label}</span>
      <input
        type="text"
        inputMode="numeric"
        autoComplete="off"
        maxLength={5}
        aria-invalid={Number.isNaN(value)}
        value={typed ?? clock(value)}
        onChange={(event) => {
          setTyped(event.target.value);
          onChange(typedTime(event.target.value) ?? Number.NaN);
        }}
        onBlur={() => !Number.isNaN(value) && setTyped(null)}
      />
    </label>
  );
}
