import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, type Schemas } from "../api/client";
import { model as modelQuery } from "../api/queries";
import { CardEditor } from "../models/card-editor";
import { withCard } from "../models/drop-model";
import { RunsNow } from "../models/runs-now";
import { shapeText } from "../models/shape";
import { TryIt } from "../models/try-it";
import { Versions } from "../models/versions";
import { model as route } from "../router";
import { bytesText, countText, secondsText } from "../ui/amounts";
import { Confirm } from "../ui/dialog";
import { Menu } from "../ui/menu";
import { Code, Fact, Failure, Head, Id, Skeleton } from "../ui/small";
import { toast } from "../ui/toasts";

type Model = Schemas["ModelOut"];
const MEGA = 1e6;

export function ModelPage() {
  const { reference } = route.useParams();
  const query = useQuery(modelQuery(reference));
  useEffect(() => {
    if (query.data) document.title = `${query.data.name} · Fabric`;
  }, [query.data]);
  if (query.isPending) return <Skeleton lines={8} />;
  if (query.error) return <Failure error={query.error} retry={() => query.refetch()} />;
  return <Shown key={query.data.version_id} model={query.data} reference={reference} />;
}

function Shown({ model, reference }: { model: Model; reference: string }) {
  const [asking, setAsking] = useState<"publish" | "hide" | "delete" | null>(null);
  const [editing, setEditing] = useState(false);
  const client = useQueryClient();
  const navigate = useNavigate();
  const publish = async (visibility: "public" | "private") => {
    await api.patch("/api/v1/models/{name}", { path: { name: model.name }, body: { visibility } });
    await client.invalidateQueries({ queryKey: ["models"] });
    toast(visibility === "public" ? "Everybody may run it now." : "Only you may run it now.");
  };
  return (
    <>
      <Head
        title={model.name}
        intro={
          <span className="row">
            <span className="badge">version {model.version}</span>
            <span className={model.visibility === "public" ? "badge accent" : "badge"}>{model.visibility}</span>
            <span>{model.description}</span>
          </span>
        }
      >
        <Link to="/jobs/new" search={{ model: reference }} className="button primary">
          Run it
        </Link>
        {model.own && (
          <button type="button" className="button" aria-expanded={editing} onClick={() => setEditing(!editing)}>
            Edit the card
          </button>
        )}
        <Menu
          label={`More for ${model.name}`}
          deeds={[
            { name: "Its jobs", act: () => void navigate({ to: "/jobs", search: { model: model.name } }) },
            !model.own
              ? null
              : model.visibility === "public"
                ? { name: "Make private", act: () => setAsking("hide") }
                : { name: "Publish", act: () => setAsking("publish") },
            model.own ? { name: "Delete", danger: true, act: () => setAsking("delete") } : null,
          ]}
        />
      </Head>
      <dl className="facts">
        <Fact name="Parameters">{countText(model.parameters)}</Fact>
        <Fact name="File" note={`opset ${model.opset}`}>
          {bytesText(model.size)}
        </Fact>
        <Fact name="One item takes" note="on one common processor thread">
          {secondsText(model.profile.item_us / MEGA) === "0 ms"
            ? `${model.profile.item_us.toFixed(1)} µs`
            : secondsText(model.profile.item_us / MEGA)}
        </Fact>
        <Fact name="Memory" note={`in batches of ${model.profile.batch_items_max}`}>
          {bytesText(model.profile.memory_bytes)}
        </Fact>
      </dl>
      <p className="row">
        <RunsNow model={model} />
        <Link to="/marketplace" search={{ model: model.name }}>
          Compare slots
        </Link>
      </p>
      {editing && <Editor model={model} onDone={() => setEditing(false)} />}
      <div className="columns">
        <div className="stack wide">
          <TryIt model={model} />
          <Tensors
            title="Inputs"
            tensors={model.inputs}
            card={(model.card.inputs ?? {}) as Record<string, Record<string, unknown>>}
          />
          <Tensors
            title="Outputs"
            tensors={Object.keys(model.results).length > 0 ? model.results : model.outputs}
            card={(model.card.outputs ?? {}) as Record<string, Record<string, unknown>>}
          />
          <details className="sheet">
            <summary>The card, as it counts</summary>
            <Code>{JSON.stringify(model.card, null, 2)}</Code>
          </details>
        </div>
        <div className="stack">
          <Versions model={model} />
          <section className="sheet">
            <h2>Facts</h2>
            <dl className="pairs small">
              <dt>Model</dt>
              <dd>
                <Id of={model.id} />
              </dd>
              <dt>Version</dt>
              <dd>
                <Id of={model.version_id} />
              </dd>
              <dt>SHA-256</dt>
              <dd>
                <Id of={model.sha256} what="SHA-256" />
              </dd>
              <dt>Measured in</dt>
              <dd>{model.profile.isolation}</dd>
              <dt>Operators</dt>
              <dd>
                {Object.entries(model.operators)
                  .map(([name, count]) => `${name} × ${count}`)
                  .join(", ")}
              </dd>
            </dl>
          </section>
        </div>
      </div>
      {asking === "publish" && (
        <Confirm
          title={`Publish ${model.name}?`}
          verb="Publish"
          danger={false}
          act={() => publish("public")}
          onClose={() => setAsking(null)}
        >
          Everybody on this fabric may then run it, and see its inputs, outputs and description. You can make it private
          again at any time.
        </Confirm>
      )}
      {asking === "hide" && (
        <Confirm
          title={`Make ${model.name} private?`}
          verb="Make private"
          act={() => publish("private")}
          onClose={() => setAsking(null)}
        >
          Others can then start no new jobs with it.
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm
          title={`Delete ${model.name}?`}
          verb="Delete every version"
          onClose={() => setAsking(null)}
          act={async () => {
            await api.delete("/api/v1/models/{name}", { path: { name: model.name } });
            void client.invalidateQueries({ queryKey: ["models"] });
            toast(`${model.name} is deleted.`);
            await navigate({ to: "/models" });
          }}
        >
          All its versions go. Jobs that have ended keep their results.
        </Confirm>
      )}
    </>
  );
}

function Editor({ model, onDone }: { model: Model; onDone: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const save = async (card: Record<string, unknown>) => {
    setBusy(true);
    setError(null);
    try {
      const made = await withCard(model.name, card, model.version);
      await client.invalidateQueries({ queryKey: ["models"] });
      toast(`Version ${made.version} is ready.`);
      onDone();
      await navigate({ to: "/models/$reference", params: { reference: made.name } });
    } catch (reason) {
      setError(reason);
    }
    setBusy(false);
  };
  return (
    <section className="sheet" aria-label="Edit the card">
      <h2>Edit the card</h2>
      <p className="soft">
        A version never changes. This makes the next one, of the same file; it is measured again before it counts.
      </p>
      <CardEditor model={model} busy={busy} verb="Publish as the next version" onSave={save} />
      {error !== null && <Failure error={error} />}
    </section>
  );
}

function Tensors({
  title,
  tensors,
  card,
}: {
  title: string;
  tensors: Model["inputs"];
  card: Record<string, Record<string, unknown>>;
}) {
  return (
    <section className="sheet">
      <h2>{title}</h2>
      <ul className="list tightly">
        {Object.entries(tensors).map(([name, tensor]) => {
          const labels = card[name]?.labels as string[] | null | undefined;
          return (
            <li key={name} className="stack tight">
              <span className="row apart">
                <strong className="wrap">{name}</strong>
                <code>{shapeText(tensor)}</code>
              </span>
              {card[name]?.codec === "image" && (
                <span className="small soft">
                  Pictures: {String(card[name]?.color)},{" "}
                  {card[name] && Array.isArray(card[name].resize)
                    ? `resized to ${(card[name].resize as number[]).join(" × ")}`
                    : "in the size that the model takes"}
                </span>
              )}
              {labels && (
                <span className="small soft wrap">
                  {labels.length} classes: {labels.slice(0, 12).join(", ")}
                  {labels.length > 12 && " …"}
                </span>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
