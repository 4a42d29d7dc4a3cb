/** A model from this machine: uploaded, examined and measured by the fabric; then it is said which inputs are pictures. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, upload } from "../api/client";
import { bytesText } from "../ui/amounts";
import { DropZone } from "../ui/drop-zone";
import { Failure, Field } from "../ui/small";
import { toast } from "../ui/toasts";
import { CardEditor } from "./card-editor";

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

async function uploadModel(name: string, file: Blob, onSent?: (share: number) => void): Promise<Model> {
  const form = new FormData();
  form.append("name", name);
  form.append("file", file, `${name}.onnx`);
  return upload<Model>("/api/v1/models", form, onSent);
}

export function DropModel({ onDone }: { onDone: (model: Model) => void }) {
  const client = useQueryClient();
  const [file, setFile] = useState<File | null>(null);
  const [name, setName] = useState("");
  const [sent, setSent] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [made, setMade] = useState<Model | null>(null);

  const attempt = async (act: () => Promise<void>): Promise<void> => {
    setError(null);
    setSent(0);
    try {
      await act();
      await client.invalidateQueries({ queryKey: ["models"] });
    } catch (reason) {
      setError(reason);
    }
    setSent(null);
  };
  const send = () =>
    attempt(async () => {
      if (file) setMade(await uploadModel(name, file, setSent));
    });
  const declare = (card: Record<string, unknown>) =>
    attempt(async () => {
      const model = await withCard(name, card);
      toast(`${model.name} is ready.`);
      onDone(model);
    });

  if (!file) {
    return (
      <DropZone
        label="An ONNX file"
        hint="It is examined and measured in a sandbox before it is accepted. Only you see it until you publish it."
        accept=".onnx"
        multiple={false}
        onFiles={([first]) => {
          if (!first) return;
          setFile(first);
          setName(nameOf(first.name));
        }}
      />
    );
  }
  if (made) {
    return (
      <div className="stack">
        <p>
          <strong>{made.name}</strong> is accepted: {Object.keys(made.inputs).length} in,{" "}
          {Object.keys(made.outputs).length} out, {made.parameters.toLocaleString("en-US")} parameters. How shall its
          inputs be read?
        </p>
        <CardEditor model={made} busy={sent !== null} verb="Use these" onSave={declare} />
        {error !== null && <Failure error={error} />}
        <div>
          <button type="button" className="button quiet small" onClick={() => onDone(made)}>
            Skip: inputs are numbers as they are
          </button>
        </div>
      </div>
    );
  }
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
        hint={`${file.name}, ${bytesText(file.size)}. A name that you have already gets a new version.`}
      >
        <input type="text" required maxLength={100} value={name} onChange={(event) => setName(event.target.value)} />
      </Field>
      {error !== null && <Failure error={error} />}
      <div className="row">
        <button type="submit" className="button primary" disabled={sent !== null}>
          {sent === null
            ? "Upload it"
            : sent < 1
              ? `Uploading, ${Math.round(100 * sent)} %`
              : "Examining and measuring …"}
        </button>
        <button type="button" className="button" disabled={sent !== null} onClick={() => setFile(null)}>
          Another file
        </button>
      </div>
    </form>
  );
}
