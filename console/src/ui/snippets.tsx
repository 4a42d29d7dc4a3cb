import { useState } from "react";
import type { Snippets } from "../jobs/snippets";
import { Code } from "./small";

const NAMES = { python: "Python", curl: "curl", cli: "Command line" } as const;

export function SnippetTabs({ of }: { of: Snippets }) {
  const [shown, setShown] = useState<keyof Snippets>("python");
  return (
    <div className="stack">
      <fieldset className="segments">
        <legend className="visually-hidden">Language</legend>
        {(Object.keys(NAMES) as (keyof Snippets)[]).map((name) => (
          <button type="button" key={name} aria-pressed={shown === name} onClick={() => setShown(name)}>
            {NAMES[name]}
          </button>
        ))}
      </fieldset>
      <Code>{of[shown]}</Code>
    </div>
  );
}
