import { useState } from "react";
import { DropZone } from "../ui/drop-zone";
import { Field } from "../ui/small";
import { columnsFor } from "./columns";
import type { Given } from "./counting";
import { type Draft, withFiles } from "./drafts";

/** One table that fills several inputs, a column each: dropped, or pasted from a spreadsheet. */
export function TableForAll({
  all,
  onChange,
}: {
  all: readonly Given[];
  onChange: (drafts: Record<string, Draft>) => void;
}) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const take = async (said: string) => {
    setProblem(null);
    if (!said.trim()) return;
    try {
      const files = columnsFor(said, all);
      const filled = await Promise.all(
        all.map(async (one): Promise<[string, Draft]> => {
          const file = files.get(one.name);
          return [one.name, await withFiles(file ? [file] : [], one)];
        }),
      );
      onChange(Object.fromEntries(filled));
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <fieldset className="stack">
      <legend className="label">One table for all inputs</legend>
      <DropZone
        label="A table"
        accept=".csv,.tsv,.tab,.txt"
        multiple={false}
        hint={`A .csv or .tsv whose columns are ${all.map(({ name }) => name).join(", ")}. Other columns are left out.`}
        onFiles={([file]) => void file?.text().then(take)}
      />
      <Field label="Or paste its rows" error={problem}>
        <textarea
          rows={3}
          spellCheck={false}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            void take(event.target.value);
          }}
        />
      </Field>
    </fieldset>
  );
}
