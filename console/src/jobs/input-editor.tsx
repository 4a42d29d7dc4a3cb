import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { sizes } from "../api/queries";
import { shapeText } from "../models/shape";
import { bytesText, countText, plural } from "../ui/amounts";
import { Tabs } from "../ui/choose";
import { DropZone } from "../ui/drop-zone";
import { Field } from "../ui/small";
import { acceptOf, type Given, type Kind, NOUNS, tooLarge } from "./counting";
import { type Draft, NOTHING, withFiles, withTyped } from "./drafts";
import { Previews } from "./previews";

const HINTS: Record<Kind, string> = {
  tensor: "A table (.csv, .tsv) with a row for each item, or .npy, .npz, .json, .jsonl.",
  text: "A .txt file with a text on each line, a .csv with a column of texts, or .json, .jsonl, .npy.",
  image: "Each picture is one item, sorted by name. A folder or a .zip of them is taken too.",
  audio: "Each sound is one item, sorted by name. A folder or a .zip of them is taken too.",
  video: "Each video is one item, sorted by name. A folder or a .zip of them is taken too.",
};

export function InputEditor({
  given,
  draft,
  onChange,
  single = false,
  children,
}: {
  given: Given;
  draft: Draft;
  onChange: (draft: Draft) => void;
  /** For one item only. */
  single?: boolean;
  /** What stands between the name of the input and what is given for it. */
  children?: ReactNode;
}) {
  const { name, tensor, kind } = given;
  const typable = kind === "tensor" || kind === "text";
  const [typing, setTyping] = useState(
    draft.typed !== "" || (typable && (kind === "text" || (single && tensor.shape.length <= 2))),
  );
  const limits = useQuery(sizes).data;
  const large = tooLarge(draft.sent, draft.count, limits);
  const most = limits
    ? ` Up to ${bytesText(limits.file_bytes)} a file${single ? "" : `, ${countText(limits.items_per_job)} items`}.`
    : "";
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
        hint={kind === "text" ? hintOfTexts(single) : hintOfNumbers(tensor, single)}
        error={draft.problem}
      >
        <textarea
          rows={single ? 3 : 6}
          spellCheck={false}
          value={draft.typed}
          onChange={(event) => onChange(withTyped(event.target.value, given))}
          onPaste={(event) => {
            const text = event.clipboardData.getData("text/plain");
            if (single || text.length <= PASTED_LETTERS_MAX) return;
            event.preventDefault();
            setTyping(false);
            void withFiles([pastedFile(text, kind)], given).then(onChange);
          }}
        />
      </Field>
    ) : (
      <>
        <DropZone
          label={single ? `A file for ${name}` : `Files for ${name}`}
          // Pictures and the like are taken everywhere: what becomes of them is said then.
          accept={typable ? `${acceptOf(kind)},image/*,audio/*,video/*` : acceptOf(kind)}
          multiple={!single}
          onFiles={(files) =>
            void withFiles(single ? files : [...draft.files, ...files].sort(byName), given).then(onChange)
          }
          hint={`${single && !typable ? "One file." : HINTS[kind]}${most}`}
        />
        {draft.problem && !(draft.media && children) && (
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
          names={{ files: "Files", typed: kind === "text" ? "Text" : "Type or paste" }}
          value={typing ? "typed" : "files"}
          onChange={(way) => setTyping(way === "typed")}
          head={head}
        >
          {children}
          {place}
        </Tabs>
      ) : (
        <>
          {head}
          {children}
          {place}
        </>
      )}
      {large && (
        <p className="bad small" role="alert">
          {large}
        </p>
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
      {draft.notes.length > 0 && <p className="small soft">{draft.notes.join(" ")}</p>}
      <Previews draft={draft} given={given} />
    </fieldset>
  );
}

/** What is longer makes a field slow to write in; it is kept as a file. */
const PASTED_LETTERS_MAX = 50_000;

function pastedFile(text: string, kind: Kind): File {
  const ending = isJson(text) ? "json" : kind === "text" ? "txt" : "csv";
  return new File([text], `pasted.${ending}`);
}

/** Lines of texts may begin with a bracket as well. */
function isJson(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function hintOfTexts(single: boolean): string {
  return single ? "One line of text." : "A text on each line; each is one item. A JSON list of texts is taken too.";
}

function hintOfNumbers(tensor: Given["tensor"], single: boolean): string {
  const example = exampleOf(tensor, single);
  const item = tensor.shape.slice(1);
  const table = item.length < 2 || item.every((axis) => axis !== null);
  const row = single ? "One item: a row" : "A row for each item:";
  return table
    ? `${row}${single ? "" : " rows"} of a table (CSV, or copied from a spreadsheet), or JSON such as ${example}`
    : `${single ? "One item" : "One list for each item"}, such as ${example}`;
}

function byName(a: File, b: File): number {
  return a.name.localeCompare(b.name, "en", { numeric: true });
}

function exampleOf(tensor: Given["tensor"], single: boolean): string {
  const item = tensor.shape
    .slice(1)
    .reduceRight<string>((inner, axis) => `[${axis === 1 ? inner : `${inner}, …`}]`, "0.5");
  return single ? item : `[${item}, …]`;
}
