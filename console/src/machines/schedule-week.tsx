/** A week at a glance: what is open of each day, and where the machine's clock stands. */
import { clock, DAY_MINUTES, DAY_NAMES, type Hours, hoursInWords, openOn } from "./hours";

const share = (minutes: number) => `${(100 * minutes) / DAY_MINUTES}%`;

export function WeekStrip({ rows, now }: { rows: readonly Hours[]; now: { day: number; minute: number } | null }) {
  const words = `Open ${hoursInWords(rows)}.${now ? ` It is ${DAY_NAMES[now.day]} ${clock(now.minute)} there.` : ""}`;
  return (
    <div className="week" role="img" aria-label={words}>
      {openOn(rows).map((stretches, day) => (
        <div className="week-day" key={DAY_NAMES[day]}>
          <span>{DAY_NAMES[day]?.slice(0, 2)}</span>
          <div>
            {stretches.map(([begin, end]) => (
              <i key={begin} style={{ left: share(begin), width: share(end - begin) }} />
            ))}
            {now?.day === day && <b style={{ left: share(now.minute) }} />}
          </div>
        </div>
      ))}
      <div className="week-day week-hours">
        <span />
        <div>
          {[0, 6, 12, 18, 24].map((hour) => (
            <span key={hour} style={{ left: share(hour * 60) }}>
              {hour}
            </span>
          ))}
        </div>
      </div>
    </div>
  );
}
