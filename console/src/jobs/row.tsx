import { Link } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { isOpen } from "../api/queries";
import { plural, secondsText } from "../ui/amounts";
import { Ago, Bar, Money, Status } from "../ui/small";
import { LabelChips } from "./labels";
import { waitingWords } from "./words";

type Job = Schemas["JobOut"];

/** One job as a line of a list. */
export function JobRow({ job }: { job: Job }) {
  const { progress } = job;
  const waits = isOpen(job) ? waitingWords(job.waiting_reason) : null;
  return (
    <Link to="/jobs/$id" params={{ id: job.id }} className="line job-line">
      <span className="stack tight job-name">
        <span className="chips">
          <strong className="wrap">{job.model}</strong>
          <LabelChips labels={job.labels} />
        </span>
        <span className="small soft">
          <Ago at={job.created_at} within />
          {" · "}
          {plural(progress.items_total, "item")}
          {job.started_at && ` · ${secondsText(job.run_s)}`}
          {waits && ` · ${waits[0]}`}
        </span>
      </span>
      {isOpen(job) && (
        <span className="job-bar">
          <Bar
            thin
            done={progress.items_done}
            failed={progress.items_failed}
            total={progress.items_total}
            label={`Progress of ${job.model}`}
          />
        </span>
      )}
      <span className="right stack tight job-end">
        <Status of={job.status} />
        <span className="small soft">
          {progress.items_failed > 0 && <span className="bad">{plural(progress.items_failed, "item")} failed · </span>}
          <Money of={job.cost.captured} />
        </span>
      </span>
    </Link>
  );
}
