import { useState } from "react";
import type { Schemas } from "../api/client";
import { shapeText } from "../models/shape";
import { bytesText, plural } from "../ui/amounts";
import { Tabs } from "../ui/choose";
import { DropZone } from "../ui/drop-zone";
import { Field } from "../ui/small";
import { acceptOf, type Draft, type Kind, NOTHING, NOUNS, withFiles, withTyped } from "./drafts";

const HINTS: Record<Kind, string> = {
  tensor: "A .npy or .json file; its first axis counts the items.",
  text: "A .txt file with a text on each line, or .json, .jsonl, .npy.",
  image: "Each picture is one item. They are sorted by name.",
  audio: "Each sound is one item. They are sorted by name.",
  video: "Each video is one item. They are sorted by name.",
};

export function InputEditor({
  name,
  tensor,
  kind,
  draft,
  onChange,
  single = false,
}: {
  name: string;
  tensor: Schemas["TensorOut"];
  kind: Kind;
  draft: Draft;
  onChange: (draft: Draft) => void;
  /** For one item only. */
  single?: boolean;
}) {
  const typable = kind === "tensor" || kind === "text";
  const [typing, setTyping] = useState(draft.typed !== "" || (typable && (kind === "text" || single)));
  const size = draft.files.reduce((total, file) => total + file.size, 0);
  const head = (
    <h3>
      {name} <span className="soft small">{kind === "tensor" ? shapeText(tensor) : NOUNS[kind]}</span>
    </h3>
  );
  const place =
    typing && typable ? (
      <Field
        label={kind === "text" ? `Texts for ${name}` : `Values of ${name}`}
        hint={
          kind === "text"
            ? single
              ? "One line of text."
              : "A text on each line; each is one item. A JSON list of texts is taken too."
            : `${single ? "One item" : "One list for each item"}, such as ${exampleOf(tensor, single)}`
        }
        error={draft.problem}
      >
        <textarea
          rows={single ? 3 : 6}
          spellCheck={false}
          value={draft.typed}
          onChange={(event) => onChange(withTyped(event.target.value, kind, tensor))}
        />
      </Field>
    ) : (
      <>
        <DropZone
          label={single ? `A file for ${name}` : `Files for ${name}`}
          accept={kind === "image" && !single ? `${acceptOf(kind)},.npy` : acceptOf(kind)}
          multiple={!single}
          onFiles={(files) =>
            void withFiles(single ? files : [...draft.files, ...files].sort(byName), kind).then(onChange)
          }
          hint={single && !typable ? "One file." : HINTS[kind]}
        />
        {draft.problem && (
          <p className="bad small" role="alert">
            {draft.problem}
          </p>
        )}
      </>
    );
  return (
    <fieldset className="stack">
      <legend className="visually-hidden">Input {name}</legend>
      {typable ? (
        <Tabs
          label={`How ${name} is given`}
          names={{ files: "Files", typed: kind === "text" ? "Text" : "JSON" }}
          value={typing ? "typed" : "files"}
          onChange={(way) => setTyping(way === "typed")}
          head={head}
        >
          {place}
        </Tabs>
      ) : (
        <>
          {head}
          {place}
        </>
      )}
      {(draft.files.length > 0 || draft.kept || draft.count !== null) && (
        <div className="row apart">
          <span>
            <strong>{draft.count === null ? "" : plural(draft.count, "item")}</strong>{" "}
            <span className="soft small">
              {draft.files.length > 0 && `${plural(draft.files.length, "file")}, ${bytesText(size)}`}
              {draft.kept && `as before${draft.kept.broadcast ? ", whole for every part" : ""}`}
            </span>
          </span>
          <button type="button" className="button quiet small" onClick={() => onChange(NOTHING)}>
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

function exampleOf(tensor: Schemas["TensorOut"], single: boolean): string {
  const item = tensor.shape
    .slice(1)
    .reduceRight<string>((inner, axis) => `[${axis === 1 ? inner : `${inner}, …`}]`, "0.5");
  return single ? item : `[${item}, …]`;
}
