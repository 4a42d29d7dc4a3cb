/** A model from this machine: uploaded, examined and measured by the fabric; then it is said which inputs are pictures. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { api, type Schemas, upload } from "../api/client";
import { sizes } from "../api/queries";
import { bytesText } from "../ui/amounts";
import { DropZone } from "../ui/drop-zone";
import { Code, Failure, Field } from "../ui/small";
import { toast } from "../ui/toasts";
import { CardEditor } from "./card-editor";
import { guessOf, isTokens } from "./guess";
import { adviceFor } from "./refusals";
import { joined, weightsBeside } from "./weights";

type Model = Schemas["ModelOut"];

export function nameOf(fileName: string): string {
  return (
    fileName
      .replace(/\.onnx$/i, "")
      .toLowerCase()
      .replace(/[^a-z0-9._-]+/g, "-")
      .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "")
      .slice(0, 60) || "model"
  );
}

/** The same file with another card, as the next version. */
export function withCard(name: string, card: Record<string, unknown>, ofVersion?: number): Promise<Model> {
  return api.post("/api/v1/models/{name}/versions", {
    path: { name },
    body: { card, ...(ofVersion && { of_version: ofVersion }) },
  });
}

/** A model on this machine: the file, and what the fabric keeps with it, such as its tokenizer. */
interface Picked {
  file: File;
  assets: File[];
}

/** The model among what was dropped, with weights that lie beside it put inside. Throws in words. */
async function pickedOf(files: readonly File[]): Promise<Picked> {
  const [model, ...others] = files.filter((file) => /\.onnx$/i.test(file.name));
  if (!model) throw new Error(`${files[0]?.name ?? "This"} is no .onnx file. ${EXPORTED}`);
  if (others.length > 0) throw new Error("Drop one .onnx file at a time.");
  const beside = files.filter((file) => file !== model);
  const assets = beside.filter((file) => /\.json$/i.test(file.name));
  // A file that is damaged is examined as it is: the fabric says best what is wrong with it.
  const outside = await weightsBeside(model).catch(() => []);
  return { file: outside.length > 0 ? await joined(model, beside) : model, assets };
}

async function uploadModel(
  name: string,
  { file, assets }: Picked,
  onSent: (share: number) => void,
  signal: AbortSignal,
): Promise<Model> {
  const form = new FormData();
  form.append("name", name);
  form.append("file", file, `${name}.onnx`);
  for (const asset of assets) form.append("asset", asset, asset.name);
  return upload<Model>("/api/v1/models", form, onSent, signal);
}

const EXPORTED = "Models of PyTorch, TensorFlow or scikit-learn are exported to ONNX first.";

export function DropModel({ onDone }: { onDone: (model: Model) => void }) {
  const client = useQueryClient();
  const limits = useQuery(sizes);
  const [picked, setPicked] = useState<Picked | null>(null);
  const [name, setName] = useState("");
  const [sent, setSent] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [made, setMade] = useState<Model | null>(null);
  const stopping = useRef<AbortController>(null);

  const attempt = async (act: (signal: AbortSignal) => Promise<void>): Promise<void> => {
    const stop = new AbortController();
    stopping.current = stop;
    setError(null);
    setSent(0);
    try {
      await act(stop.signal);
      await client.invalidateQueries({ queryKey: ["models"] });
    } catch (reason) {
      setError(stop.signal.aborted ? null : reason);
    }
    setSent(null);
  };
  const send = () =>
    attempt(async (signal) => {
      if (picked) setMade(await uploadModel(name, picked, setSent, signal));
    });
  const declare = (card: Record<string, unknown>) =>
    attempt(async () => {
      if (!made) return;
      if (isAlike(card, made.card)) return onDone(made);
      const model = await withCard(made.name, card, made.version);
      toast(`${model.name} is ready.`);
      onDone(model);
    });
  const pick = async (files: File[]) => {
    setError(null);
    try {
      const found = await pickedOf(files);
      setPicked(found);
      setName(nameOf(found.file.name));
    } catch (reason) {
      setError(reason);
    }
  };

  if (!picked) {
    const most = limits.data ? ` Up to ${bytesText(limits.data.model_bytes)}.` : "";
    return (
      <div className="stack">
        <DropZone
          label="An ONNX file"
          hint={`It is examined and measured in a sandbox before it is accepted. Only you see it until you publish it.${most} If weights or a tokenizer.json belong to it, drop them together.`}
          accept=".onnx,.data,.bin,.weight,.json"
          onFiles={(files) => void pick(files)}
        />
        {error !== null && <Refused error={error} />}
      </div>
    );
  }
  if (made) {
    const tokens = Object.entries(made.inputs).find(([input, tensor]) => isTokens(input, tensor));
    const guessed = Object.entries(made.inputs).some(([input, tensor]) => guessOf(input, tensor, assetsOf(made)));
    return (
      <div className="stack">
        <p>
          <strong>{made.name}</strong> is accepted: {Object.keys(made.inputs).length} in,{" "}
          {Object.keys(made.outputs).length} out, {made.parameters.toLocaleString("en-US")} parameters. How shall its
          inputs be read?
        </p>
        {guessed && <p className="small soft">Guessed from their names and shapes; change what is not so.</p>}
        {tokens && !assetsOf(made).includes("tokenizer.json") && (
          <p className="notice small">
            {tokens[0]} looks like the numbers of words. To give texts instead, upload it together with its
            tokenizer.json.
          </p>
        )}
        <CardEditor model={made} busy={sent !== null} verb="Use these" onSave={declare} guessing />
        {error !== null && <Failure error={error} />}
        <div>
          <button type="button" className="button quiet small" onClick={() => onDone(made)}>
            Skip: inputs are numbers as they are
          </button>
        </div>
      </div>
    );
  }
  const tooLarge = limits.data && picked.file.size > limits.data.model_bytes ? limits.data.model_bytes : null;
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <Field
        label="What shall it be called?"
        hint={`${picked.file.name}, ${bytesText(picked.file.size)}${picked.assets.map((asset) => `, with ${asset.name}`).join("")}. A name that you have already gets a new version.`}
        error={tooLarge ? `A model may have ${bytesText(tooLarge)}.` : null}
      >
        <input type="text" required maxLength={100} value={name} onChange={(event) => setName(event.target.value)} />
      </Field>
      {error !== null && <Refused error={error} />}
      <div className="row">
        <button type="submit" className="button primary" disabled={sent !== null || tooLarge !== null}>
          {sent === null
            ? "Upload it"
            : sent < 1
              ? `Uploading, ${Math.round(100 * sent)} %`
              : "Examining and measuring …"}
        </button>
        {sent !== null && sent < 1 ? (
          <button type="button" className="button" onClick={() => stopping.current?.abort()}>
            Stop
          </button>
        ) : (
          <button type="button" className="button" disabled={sent !== null} onClick={() => setPicked(null)}>
            Another file
          </button>
        )}
      </div>
    </form>
  );
}

/** Whether two cards say the same; another version of the same would only be measured again. */
function isAlike(one: unknown, other: unknown): boolean {
  const sorted = (_: string, value: unknown) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a.localeCompare(b)))
      : value;
  return JSON.stringify(one, sorted) === JSON.stringify(other, sorted);
}

const assetsOf = (model: Model) => Object.keys(model.assets ?? {});

/** Why a model was not accepted, and what to do about it. */
function Refused({ error }: { error: unknown }) {
  const advice = adviceFor(error);
  return (
    <div className="stack tight">
      <Failure error={error} />
      {advice && <p className="small">{advice.words}</p>}
      {advice?.code && <Code>{advice.code}</Code>}
    </div>
  );
}
