/** The versions of a model: each its file and its card, none of which ever changes. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { versions as versionsQuery } from "../api/queries";
import { bytesText } from "../ui/amounts";
import { Confirm } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { Ago, Failure, Skeleton } from "../ui/small";
import { Tip } from "../ui/tip";
import { toast } from "../ui/toasts";

type Model = Schemas["ModelOut"];

export function Versions({ model }: { model: Model }) {
  const query = useQuery(versionsQuery(model.name));
  const client = useQueryClient();
  const [deleting, setDeleting] = useState<Model | null>(null);
  const all = query.data?.data ?? [];
  return (
    <section className="sheet">
      <h2>Versions</h2>
      {query.isPending && <Skeleton lines={2} />}
      {query.error && <Failure error={query.error} />}
      <ul className="list tightly">
        {all.map((version, place) => (
          <li key={version.version_id} className="row apart">
            <span className="stack tight">
              <span className="row">
                <Link
                  to="/models/$reference"
                  params={{ reference: `${version.name}:${version.version}` }}
                  aria-current={version.version_id === model.version_id ? "page" : undefined}
                >
                  version {version.version}
                </Link>
                {place === 0 && <span className="badge accent">newest</span>}
                {version.version_id === model.version_id && <span className="badge">shown</span>}
              </span>
              <span className="small soft">
                {bytesText(version.size)}, <Ago at={version.created_at} />
                {sameFile(all, place) && ", the same file with another card"}
              </span>
            </span>
            {model.own && all.length > 1 && (
              <Tip says="Retire this version">
                <button
                  type="button"
                  className="icon-button"
                  aria-label={`Retire version ${version.version}`}
                  onClick={() => setDeleting(version)}
                >
                  <Icon name="close" size={15} />
                </button>
              </Tip>
            )}
          </li>
        ))}
      </ul>
      {deleting && (
        <Confirm
          title={`Retire version ${deleting.version}?`}
          verb="Retire it"
          onClose={() => setDeleting(null)}
          act={async () => {
            const { name, version } = deleting;
            await api.delete("/api/v1/models/{name}/versions/{version}", { path: { name, version } });
            await client.invalidateQueries({ queryKey: ["models"] });
            toast(`Version ${version} is retired.`);
          }}
        >
          Nobody starts new jobs with it. Jobs that are submitted still run, and keep their results.
        </Confirm>
      )}
    </section>
  );
}

const sameFile = (all: readonly Model[], place: number) => all[place + 1]?.sha256 === all[place]?.sha256;
