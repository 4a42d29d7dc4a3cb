import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { models as modelsQuery } from "../api/queries";
import { DropModel } from "../models/drop-model";
import { RunsNow, runsNow } from "../models/runs-now";
import { shapeText } from "../models/shape";
import { bytesText, countText } from "../ui/amounts";
import { Choose } from "../ui/choose";
import { Icon } from "../ui/icons";
import { Ago, Empty, Failure, Head, Skeleton } from "../ui/small";

const WHOSE = { all: "all", mine: "mine", others: "of others" } as const;

export function ModelsPage() {
  const query = useInfiniteQuery(modelsQuery);
  const navigate = useNavigate();
  const [adding, setAdding] = useState(false);
  const [whose, setWhose] = useState<keyof typeof WHOSE>("all");
  const [text, setText] = useState("");
  const [ready, setReady] = useState(false);
  const all = query.data?.pages.flatMap((page) => page.data) ?? [];
  const models = all.filter(
    (model) =>
      (whose === "all" || (whose === "mine") === model.own) &&
      (!ready || runsNow(model)) &&
      `${model.name} ${model.description}`.toLowerCase().includes(text.trim().toLowerCase()),
  );
  return (
    <>
      <Head title="Models" intro="What you may run: your own, and those that others have published.">
        <button type="button" className="button primary" aria-expanded={adding} onClick={() => setAdding(!adding)}>
          <Icon name="plus" /> Add a model
        </button>
      </Head>
      {adding && (
        <section className="sheet">
          <h2>Add a model</h2>
          <DropModel onDone={(made) => void navigate({ to: "/models/$reference", params: { reference: made.name } })} />
        </section>
      )}
      {all.length > 0 && (
        <div className="filters">
          <Choose label="Whose models" names={WHOSE} value={whose} onChange={setWhose} />
          <input
            type="search"
            aria-label="Search by name or description"
            placeholder="name or description"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          <label className="check">
            <input type="checkbox" checked={ready} onChange={(event) => setReady(event.target.checked)} />
            can run now
          </label>
        </div>
      )}
      {query.error && <Failure error={query.error} retry={() => query.refetch()} />}
      <section className="sheet flush" aria-label="Models">
        {query.isPending && (
          <div className="empty">
            <Skeleton />
          </div>
        )}
        {all.length > 0 && models.length === 0 && (
          <Empty title="No model fits">
            Try another name, or look at all of them, also at those that nothing can run now.
          </Empty>
        )}
        {query.data && all.length === 0 && (
          <Empty title="No models yet">
            Add an ONNX file. It is examined and measured before it is accepted, and stays yours alone until you publish
            it.
          </Empty>
        )}
        <ul className="list">
          {models.map((model) => (
            <li key={model.id}>
              <Link to="/models/$reference" params={{ reference: model.name }} className="line">
                <span className="stack tight grow">
                  <span className="row">
                    <strong className="wrap">{model.name}</strong>
                    <span className="badge">version {model.version}</span>
                    {model.visibility === "public" && <span className="badge accent">public</span>}
                    {!model.own && <span className="badge">of somebody else</span>}
                  </span>
                  <span className="small soft wrap">
                    {model.description ||
                      Object.entries(model.inputs)
                        .map(([name, tensor]) => `${name}: ${shapeText(tensor)}`)
                        .join(", ")}
                  </span>
                  <RunsNow model={model} />
                </span>
                <span className="right small soft num">
                  {countText(model.parameters)} parameters · {bytesText(model.size)}
                  <br />
                  <Ago at={model.created_at} within />
                </span>
              </Link>
            </li>
          ))}
        </ul>
      </section>
      {query.hasNextPage && (
        <div>
          <button
            type="button"
            className="button"
            disabled={query.isFetchingNextPage}
            onClick={() => query.fetchNextPage()}
          >
            Show more
          </button>
        </div>
      )}
    </>
  );
}
