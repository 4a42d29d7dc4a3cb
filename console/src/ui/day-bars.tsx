/** Amounts by day as bars: the exact one under the pointer, and all of them as a table. */
import { useState } from "react";
import type { Schemas } from "../api/client";
import "../styles/days.css";
import { nanosText } from "./amounts";
import { Money } from "./small";

export interface DayAmount {
  day: string;
  amount: Schemas["Money"];
}
const HEIGHT = 100;
const STEP = 10;
const GAP = 2.4;
/** A day on which anything happened is seen, however small beside the largest. */
const LEAST = 2;

/** How high the bar of each day is, of HEIGHT; nothing is 0. */
export function heights(days: readonly DayAmount[]): number[] {
  const most = days.reduce((top, one) => Math.max(top, one.amount.usd_nanos), 0);
  return days.map(({ amount }) => (amount.usd_nanos > 0 ? Math.max(LEAST, (HEIGHT * amount.usd_nanos) / most) : 0));
}

export function sumOf(days: readonly DayAmount[]): Schemas["Money"] {
  const nanos = days.reduce((sum, one) => sum + BigInt(one.amount.usd_nanos), 0n);
  return { usd_nanos: Number(nanos), usd: nanosText(nanos) };
}

const short = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" });
export const dayText = (day: string) => short.format(new Date(`${day}T00:00:00Z`));

export function DayBars({ days, name, kind }: { days: readonly DayAmount[]; name: string; kind: "spent" | "earned" }) {
  const [picked, setPicked] = useState<number | null>(null);
  const tall = heights(days);
  const shown = picked === null ? null : days[picked];
  const first = days[0];
  const last = days.at(-1);
  if (!first || !last) return null;
  return (
    <figure className={`days ${kind}`}>
      <figcaption>
        <span className="soft">{shown ? `${name}, ${dayText(shown.day)}` : `${name}, ${days.length} days`}</span>
        <strong>
          <Money of={shown ? shown.amount : sumOf(days)} />
        </strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${days.length * STEP} ${HEIGHT}`}
        preserveAspectRatio="none"
        aria-hidden="true"
        onPointerLeave={() => setPicked(null)}
      >
        {days.map((one, at) => (
          <g key={one.day} className={picked === at ? "picked" : ""} onPointerEnter={() => setPicked(at)}>
            <rect className="all" x={at * STEP} width={STEP} height={HEIGHT} />
            <rect
              className="amount"
              x={at * STEP + GAP / 2}
              y={HEIGHT - (tall[at] ?? 0)}
              width={STEP - GAP}
              height={tall[at]}
              rx="1"
            />
          </g>
        ))}
      </svg>
      <div className="ends" aria-hidden="true">
        <span>{dayText(first.day)}</span>
        <span>today</span>
      </div>
      <details>
        <summary>{name} by day, as a table</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
        <div tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th>Day (UTC)</th>
                <th className="num">USD</th>
              </tr>
            </thead>
            <tbody>
              {[...days].reverse().map((one) => (
                <tr key={one.day}>
                  <td>{one.day}</td>
                  <td className="num">
                    <Money of={one.amount} aligned />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
