import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { history, isOpen, machines, recentJobs, stats, wallet } from "../api/queries";
import { JobRow } from "../jobs/row";
import { PlayMoney } from "../shell";
import { countText } from "../ui/amounts";
import { DayBars } from "../ui/day-bars";
import { Icon } from "../ui/icons";
import { Empty, Fact, Failure, Head, Money, Skeleton } from "../ui/small";

const DAYS = 30;

export function OverviewPage() {
  const purse = useQuery(wallet);
  const recent = useQuery(recentJobs);
  const network = useQuery(stats);
  const mine = useQuery(machines);
  const days = useQuery(history(DAYS));
  const open = (recent.data?.data ?? []).filter(isOpen);
  const rest = (recent.data?.data ?? []).filter((job) => !isOpen(job));
  const lends = (mine.data?.data.length ?? 0) > 0;

  return (
    <>
      <Head title="Overview">
        <Link to="/jobs/new" className="button primary">
          <Icon name="plus" /> New job
        </Link>
      </Head>
      <dl className="facts">
        <Fact name="Credit available" note={purse.data && !purse.data.livemode ? <PlayMoney /> : undefined}>
          {purse.data ? <Money of={purse.data.available} /> : "…"}
        </Fact>
        <Fact name="Set aside for open jobs">{purse.data ? <Money of={purse.data.held} /> : "…"}</Fact>
        <Fact name="Spent this month" note={lends && days.data && <Earned of={days.data.month.earned} />}>
          {days.data ? <Money of={days.data.month.spent} /> : "…"}
        </Fact>
        <Fact
          name="Slots on line"
          note={network.data && `${network.data.slots_busy} busy, on ${network.data.providers_online} machines`}
        >
          {network.data ? countText(network.data.slots_online) : "…"}
        </Fact>
      </dl>
      {purse.error && <Failure error={purse.error} retry={() => purse.refetch()} />}
      <div className="columns">
        <div className="stack wide">
          {open.length > 0 && (
            <section className="sheet flush">
              <div className="sheet-head">
                <h2>Under way</h2>
              </div>
              <ul className="list">
                {open.map((job) => (
                  <li key={job.id}>
                    <JobRow job={job} />
                  </li>
                ))}
              </ul>
            </section>
          )}
          <section className="sheet flush">
            <div className="sheet-head">
              <h2>{open.length > 0 ? "Ended lately" : "Your latest jobs"}</h2>
              <Link to="/jobs">All jobs</Link>
            </div>
            {recent.isPending && (
              <div className="empty">
                <Skeleton />
              </div>
            )}
            {recent.error && <Failure error={recent.error} retry={() => recent.refetch()} />}
            {recent.data?.data.length === 0 && (
              <Empty
                title="Run your first model"
                action={
                  <Link to="/jobs/new" className="button primary">
                    Start a job
                  </Link>
                }
              >
                Drop an ONNX file and some inputs. You see the price before anything runs, and the results as they come.
              </Empty>
            )}
            {open.length > 0 && rest.length === 0 && <p className="empty soft">Nothing has ended yet.</p>}
            <ul className="list">
              {rest.map((job) => (
                <li key={job.id}>
                  <JobRow job={job} />
                </li>
              ))}
            </ul>
          </section>
        </div>
        <div className="stack">
          {days.data?.days.some((one) => one.spent.usd_nanos > 0 || one.earned.usd_nanos > 0) && (
            <section className="sheet">
              <h2>Your money by day</h2>
              <DayBars
                name="Spent"
                kind="spent"
                days={days.data.days.map((one) => ({ day: one.day, amount: one.spent }))}
              />
              {lends && (
                <DayBars
                  name="Earned"
                  kind="earned"
                  days={days.data.days.map((one) => ({ day: one.day, amount: one.earned }))}
                />
              )}
              <Link to="/wallet">See your wallet</Link>
            </section>
          )}
          <section className="sheet">
            <h2>The network, last 24 hours</h2>
            {network.data ? (
              <dl className="pairs">
                <dt>Jobs submitted</dt>
                <dd className="num">{countText(network.data.jobs_day)}</dd>
                <dt>Items done</dt>
                <dd className="num">{countText(network.data.items_day)}</dd>
                <dt>Jobs open now</dt>
                <dd className="num">{countText(network.data.jobs_open)}</dd>
                <dt>Public models</dt>
                <dd className="num">{countText(network.data.models_public)}</dd>
              </dl>
            ) : (
              <Skeleton lines={3} />
            )}
            <Link to="/marketplace">See what is on offer</Link>
          </section>
          <section className="sheet">
            <h2>Your machines</h2>
            {mine.data?.data.length ? (
              <>
                <p>
                  {mine.data.data.filter((machine) => machine.status === "online").length} of {mine.data.data.length} on
                  line.
                  {purse.data && (
                    <>
                      {" "}
                      Earned and free to pay out: <Money of={purse.data.earned_available} />.
                    </>
                  )}
                </p>
                <Link to="/machines">See your machines</Link>
              </>
            ) : (
              <>
                <p className="soft">
                  A machine that you lend earns for every second that it works. Models run in a sandbox, and you may
                  pause at any time.
                </p>
                <Link to="/machines">Lend a machine</Link>
              </>
            )}
          </section>
        </div>
      </div>
    </>
  );
}

function Earned({ of }: { of: Schemas["Money"] }) {
  return (
    <>
      <Money of={of} /> earned
    </>
  );
}
