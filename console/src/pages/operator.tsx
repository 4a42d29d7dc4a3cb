import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { me as meQuery } from "../api/queries";
import { Gate } from "../operator/gate";
import { Health } from "../operator/health";
import { AllJobs } from "../operator/jobs";
import { Ledger } from "../operator/ledger";
import { AllMachines } from "../operator/machines";
import { Prices } from "../operator/prices";
import { Users } from "../operator/users";
import { operator } from "../router";
import { Parts } from "../ui/choose";
import { Empty, Failure, Head, Skeleton } from "../ui/small";
import "../styles/operator.css";

const PARTS = {
  health: "Health",
  users: "Users",
  machines: "Machines",
  jobs: "Jobs",
  ledger: "Ledger",
  prices: "Prices",
  gate: "Gate",
} as const;
type Part = keyof typeof PARTS;

export function OperatorPage() {
  const me = useQuery(meQuery);
  const { part = "health", user } = operator.useSearch();
  if (me.isPending) return <Skeleton lines={8} />;
  if (me.error) return <Failure error={me.error} retry={() => me.refetch()} />;
  if (me.data.role !== "operator") {
    return (
      <Empty
        title="For operators"
        action={
          <Link to="/" className="button">
            Go to the overview
          </Link>
        }
      >
        Whoever runs this fabric looks after it here. An operator can make you one.
      </Empty>
    );
  }
  return (
    <>
      <Head title="Operator" intro="What only whoever runs this fabric sees and may do." />
      <Parts label="Operator">
        {Object.entries(PARTS).map(([name, words]) => (
          <Link
            key={name}
            to="/operator"
            search={name === "health" ? {} : { part: name as Part }}
            activeOptions={{ exact: true }}
            aria-current={name === part ? "page" : undefined}
          >
            {words}
          </Link>
        ))}
      </Parts>
      {part === "health" && <Health />}
      {part === "users" && <Users />}
      {part === "machines" && <AllMachines user={user} />}
      {part === "jobs" && <AllJobs user={user} />}
      {part === "ledger" && <Ledger />}
      {part === "prices" && <Prices />}
      {part === "gate" && <Gate />}
    </>
  );
}
