/** Templates to begin a job from. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { Confirm } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { toast } from "../ui/toasts";
import { templates as templatesQuery } from "./queries";

export function TemplateChoice({ chosen }: { chosen: string | undefined }) {
  const query = useQuery(templatesQuery);
  const client = useQueryClient();
  const [deleting, setDeleting] = useState<string | null>(null);
  const all = query.data?.data ?? [];
  if (all.length === 0) return null;
  return (
    <div className="row small">
      <span className="soft">From a template:</span>
      <ul className="chips">
        {all.map(({ id, name }) => (
          <li key={id} className={chosen === name ? "badge accent" : "badge"}>
            <Link
              to="/jobs/new"
              search={{ template: name }}
              replace
              aria-current={chosen === name ? "page" : undefined}
            >
              {name}
            </Link>
            <button
              type="button"
              className="icon-button"
              aria-label={`Delete the template ${name}`}
              onClick={() => setDeleting(name)}
            >
              <Icon name="close" size={13} />
            </button>
          </li>
        ))}
      </ul>
      {deleting && (
        <Confirm
          title={`Delete the template ${deleting}?`}
          verb="Delete it"
          onClose={() => setDeleting(null)}
          act={async () => {
            await api.delete("/api/v1/job-templates/{template}", { path: { template: deleting } });
            await client.invalidateQueries({ queryKey: ["templates"] });
            toast(`${deleting} is deleted.`);
          }}
        >
          Jobs that were made from it stay as they are.
        </Confirm>
      )}
    </div>
  );
}
