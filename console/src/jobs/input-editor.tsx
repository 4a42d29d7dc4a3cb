import { useState } from "react";
import type { Schemas } from "../api/client";
import { shapeText } from "../models/shape";
import { bytesText, plural } from "../ui/amounts";
import { DropZone } from "../ui/drop-zone";
import { Field } from "../ui/small";
import { type Draft, withFiles, withJson } from "./drafts";

export function InputEditor({
  name,
  tensor,
  codec,
  draft,
  onChange,
}: {
  name: string;
  tensor: Schemas["TensorOut"];
  codec: string;
  draft: Draft;
  onChange: (draft: Draft) => void;
}) {
  const images = codec === "image";
  const [typing, setTyping] = useState(draft.json !== "");
  const size = draft.files.reduce((total, file) => total + file.size, 0);
  return (
    <fieldset className="stack">
      <legend className="visually-hidden">Input {name}</legend>
      <div className="row apart">
        <h3>
          {name} <span className="soft small">{images ? "pictures, PNG or JPEG" : shapeText(tensor)}</span>
        </h3>
        <div className="segments">
          <button type="button" aria-pressed={!typing} onClick={() => setTyping(false)}>
            Files
          </button>
          <button type="button" aria-pressed={typing} onClick={() => setTyping(true)}>
            JSON
          </button>
        </div>
      </div>
      {typing ? (
        <Field
          label={`Values of ${name}`}
          hint={`One list for each item, such as ${exampleOf(tensor)}`}
          error={draft.problem}
        >
          <textarea
            rows={6}
            spellCheck={false}
            value={draft.json}
            onChange={(event) => onChange(withJson(draft, event.target.value, tensor))}
          />
        </Field>
      ) : (
        <>
          <DropZone
            label={`Files for ${name}`}
            accept={images ? ".png,.jpg,.jpeg,.npy" : ".npy,.json"}
            onFiles={(files) => void withFiles(draft, [...draft.files, ...files].sort(byName), images).then(onChange)}
            hint={
              images
                ? "Each picture is one item. Pictures are sorted by name."
                : "A .npy or .json file; its first axis counts the items."
            }
          />
          {draft.problem && (
            <p className="bad small" role="alert">
              {draft.problem}
            </p>
          )}
        </>
      )}
      {(draft.files.length > 0 || draft.uploaded.length > 0 || draft.count !== null) && (
        <div className="row apart">
          <span>
            <strong>{draft.count === null ? "" : plural(draft.count, "item")}</strong>{" "}
            <span className="soft small">
              {draft.files.length > 0 && `${plural(draft.files.length, "file")}, ${bytesText(size)}`}
              {draft.uploaded.length > 0 && "the files of the job before"}
            </span>
          </span>
          <button
            type="button"
            className="button quiet small"
            onClick={() => onChange({ files: [], uploaded: [], json: "", count: null, problem: null })}
          >
            Remove
          </button>
        </div>
      )}
    </fieldset>
  );
}

function byName(a: File, b: File): number {
  return a.name.localeCompare(b.name, "en", { numeric: true });
}

function exampleOf(tensor: Schemas["TensorOut"]): string {
  const item = tensor.shape
    .slice(1)
    .reduceRight<string>((inner, axis) => `[${axis === 1 ? inner : `${inner}, …`}]`, "0.5");
  return `[${item}, …]`;
}
