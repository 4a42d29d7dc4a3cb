/** How far a job is: items, speed, time left, cost against what was set aside. */
import { useMemo, useRef } from "react";
import type { Schemas } from "../api/client";
import { isOpen } from "../api/queries";
import { countText, plural, secondsText } from "../ui/amounts";
import { Bar, Fact, Money } from "../ui/small";

const WINDOW_MS = 5000;

/** Items a second within the last few seconds, from what came live; null before two events. */
function useSpeed(done: number): number | null {
  const seen = useRef<[number, number][]>([]);
  return useMemo(() => {
    const at = Date.now();
    seen.current = [...seen.current.filter(([moment]) => at - moment < WINDOW_MS), [at, done]];
    const [oldest] = seen.current;
    return oldest && at > oldest[0] ? (1000 * (done - oldest[1])) / (at - oldest[0]) : null;
  }, [done]);
}

export function Progress({ job }: { job: Schemas["JobOut"] }) {
  const { progress, cost } = job;
  const ended = progress.items_done + progress.items_failed;
  const speed = useSpeed(ended);
  const mean = job.run_s > 0 ? ended / job.run_s : 0;
  const now = isOpen(job) ? speed : mean;
  const left = progress.items_total - ended;
  const share = cost.held.usd_nanos > 0 ? Math.round((100 * cost.captured.usd_nanos) / cost.held.usd_nanos) : null;
  return (
    <section className="sheet" aria-label="Progress">
      <div className="stack tight">
        <div className="row apart num">
          <strong>
            {countText(ended)} of {plural(progress.items_total, "item")}
          </strong>
          <span className="soft">
            {progress.items_total ? `${Math.floor((100 * ended) / progress.items_total)} %` : ""}
          </span>
        </div>
        <Bar
          done={progress.items_done}
          failed={progress.items_failed}
          total={progress.items_total}
          label="Items done"
        />
      </div>
      <dl className="facts">
        <Fact
          name={isOpen(job) ? "Items a second now" : "Items a second"}
          note={isOpen(job) && now && left > 0 ? `about ${secondsText(left / now)} left` : undefined}
        >
          {now ? (now < 10 ? now.toFixed(1) : countText(Math.round(now))) : "none yet"}
        </Fact>
        <Fact
          name={isOpen(job) ? "Cost so far" : "Cost"}
          note={
            <>
              {share !== null && (share > 0 || cost.captured.usd_nanos === 0 ? `${share} % ` : "less than 1 % ")}of{" "}
              <Money of={cost.held} /> set aside
            </>
          }
        >
          <Money of={cost.captured} />
        </Fact>
        <Fact name="Waited">{secondsText(job.queue_s)}</Fact>
        <Fact name="Ran" note={`${countText(progress.subtasks_done)} of ${plural(progress.subtasks_total, "part")}`}>
          {job.started_at ? secondsText(job.run_s) : "not yet"}
        </Fact>
      </dl>
    </section>
  );
}
