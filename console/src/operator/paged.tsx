/** A table of pages: skeleton, failure, nothing there, and older rows on demand. */
import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Choose } from "../ui/choose";
import { Empty, Failure, Older, Skeleton } from "../ui/small";
import { Tip } from "../ui/tip";

interface Page<T> {
  data: T[];
  next_cursor?: string | null | undefined;
}

export const nextOf = (page: { next_cursor?: string | null | undefined }) => page.next_cursor ?? null;
export const FIRST = null as string | null;

export function Paged<T>({
  query,
  head,
  row,
  nothing,
}: {
  query: UseInfiniteQueryResult<{ pages: Page<T>[] }, unknown>;
  head: ReactNode;
  row: (one: T) => ReactNode;
  nothing: string;
}) {
  const rows = query.data?.pages.flatMap((page) => page.data) ?? [];
  if (query.isPending) return <Skeleton lines={6} />;
  if (query.error) return <Failure error={query.error} retry={() => query.refetch()} />;
  if (rows.length === 0) return <Empty title="Nothing here">{nothing}</Empty>;
  return (
    <>
      <table className="cards">
        <thead>{head}</thead>
        <tbody>{rows.map(row)}</tbody>
      </table>
      {query.hasNextPage && (
        <div className="list">
          <div className="line">
            <Older of={query} />
          </div>
        </div>
      )}
    </>
  );
}

/** The head of a list of everybody's: which states it shows, and whose. */
export function StatesHead<S extends string>({
  title,
  states,
  shown,
  show,
  user,
  part,
}: {
  title: string;
  states: readonly S[];
  shown: S | null;
  show: (state: S | null) => void;
  user: string | undefined;
  part: "jobs" | "machines";
}) {
  return (
    <>
      <div className="sheet-head">
        <h2>{title}</h2>
        <Choose
          label="Only those that are"
          names={Object.fromEntries(["all", ...states].map((one) => [one, one])) as Record<S | "all", string>}
          value={shown ?? "all"}
          onChange={(state) => show(state === "all" ? null : (state as S))}
        />
      </div>
      {user && (
        <div className="sheet-head">
          <OnlyOf user={user} part={part} />
        </div>
      )}
    </>
  );
}

/** Whose something is; leads to all that they have of it. */
export function Owner({ id, email, part }: { id: string; email: string; part: "jobs" | "machines" }) {
  return (
    <Tip says={id}>
      <Link to="/operator" search={{ part, user: id }} className="wrap">
        {email}
      </Link>
    </Tip>
  );
}

function OnlyOf({ user, part }: { user: string; part: "jobs" | "machines" }) {
  return (
    <span className="row small">
      <span className="badge">
        only of <code className="wrap">{user}</code>
      </span>
      <Link to="/operator" search={{ part }}>
        Show everybody's
      </Link>
    </span>
  );
}
