/** What one's machines earned in a month, to read and to take along. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { secondsText } from "../ui/amounts";
import { saveAs } from "../ui/download";
import { Failure, Money, Skeleton } from "../ui/small";
import { toastError } from "../ui/toasts";

export function Statement() {
  const [month, setMonth] = useState(() => new Date().toISOString().slice(0, 7));
  const query = useQuery({
    queryKey: ["wallet", "statement", month],
    queryFn: () => api.get("/api/v1/providers/statements", { query: { month } }),
  });
  const save = (format: "csv" | "pdf") =>
    saveAs(`/api/v1/providers/statements?month=${month}&format=${format}`, `fabric-${month}.${format}`);
  const months = Array.from({ length: 12 }, (_, back) => {
    const day = new Date();
    day.setUTCDate(1);
    day.setUTCMonth(day.getUTCMonth() - back);
    return day.toISOString().slice(0, 7);
  });
  return (
    <section className="sheet">
      <div className="row apart">
        <h2>Earnings</h2>
        <select className="month" aria-label="Month" value={month} onChange={(event) => setMonth(event.target.value)}>
          {months.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </div>
      {query.isPending && <Skeleton lines={2} />}
      {query.error && <Failure error={query.error} />}
      {query.data && query.data.rows.length === 0 && (
        <p className="soft">
          Nothing was earned in this month. <Link to="/machines">Lend a machine</Link> and it is listed here by day.
        </p>
      )}
      {query.data && query.data.rows.length > 0 && (
        <>
          <ul className="list tightly">
            {query.data.rows.slice(0, 31).map((row) => (
              <li key={`${row.date} ${row.machine} ${row.kind}`} className="row apart">
                <span>
                  {row.machine.replace(/ \(prv_\w+\)$/, "") || row.kind}
                  <br />
                  <span className="small soft num">
                    {row.date}, {secondsText(row.seconds)}
                  </span>
                </span>
                <Money of={row.net} aligned />
              </li>
            ))}
          </ul>
          <dl className="bill">
            <dt>Earned</dt>
            <dd>
              <strong>
                <Money of={query.data.earned} aligned />
              </strong>
            </dd>
            <dt className="soft">after commission of</dt>
            <dd className="soft">
              <Money of={query.data.commission} aligned />
            </dd>
          </dl>
          <div className="row">
            <button type="button" className="button small" onClick={() => void save("csv").catch(toastError)}>
              CSV
            </button>
            <button type="button" className="button small" onClick={() => void save("pdf").catch(toastError)}>
              PDF
            </button>
          </div>
        </>
      )}
    </section>
  );
}
