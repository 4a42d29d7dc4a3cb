import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { isOpen, machines, recentJobs, stats, wallet } from "../api/queries";
import { JobRow, LiveJobRow } from "../jobs/row";
import { PlayMoney } from "../shell";
import { countText } from "../ui/amounts";
import { Icon } from "../ui/icons";
import { Empty, Fact, Failure, Head, Money, Skeleton } from "../ui/small";

/** Each stream takes one of the six connections that HTTP/1.1 browsers keep; the others must stay free for the rest. */
const FOLLOWED_MAX = 2;

export function OverviewPage() {
  const purse = useQuery(wallet);
  const recent = useQuery(recentJobs);
  const network = useQuery(stats);
  const mine = useQuery(machines);
  const open = (recent.data?.data ?? []).filter(isOpen);
  const followed = new Set(open.slice(0, FOLLOWED_MAX).map((job) => job.id));

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
        <Fact name="Open jobs of yours">{recent.data ? open.length : "…"}</Fact>
        <Fact
          name="Slots on line"
          note={network.data && `${network.data.slots_busy} busy, on ${network.data.providers_online} machines`}
        >
          {network.data ? countText(network.data.slots_online) : "…"}
        </Fact>
      </dl>
      {purse.error && <Failure error={purse.error} retry={() => purse.refetch()} />}
      <div className="columns">
        <section className="sheet flush">
          <div className="sheet-head">
            <h2>Your latest jobs</h2>
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
          <ul className="list">
            {recent.data?.data.map((job) => (
              <li key={job.id}>{followed.has(job.id) ? <LiveJobRow job={job} /> : <JobRow job={job} />}</li>
            ))}
          </ul>
        </section>
        <div className="stack">
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
