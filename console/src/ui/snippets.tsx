import { useState } from "react";
import type { Snippets } from "../jobs/snippets";
import { Tabs } from "./choose";
import { Code } from "./small";

const NAMES = { python: "Python", curl: "curl", cli: "Command line" } as const;

export function SnippetTabs({ of }: { of: Snippets }) {
  const [shown, setShown] = useState<keyof Snippets>("python");
  return (
    <Tabs label="Language" names={NAMES} value={shown} onChange={setShown}>
      <Code>{of[shown]}</Code>
    </Tabs>
  );
}
