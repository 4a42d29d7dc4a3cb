import { useState } from "react";
import type { Schemas } from "../api/client";
import { Choose, Tabs } from "../ui/choose";
import { Field } from "../ui/small";
import { toastError } from "../ui/toasts";
import { cardOf, formOf, type InputForm, inTheForm, OF_A_TOKENIZER } from "./card";
import { guessOf, pictureForm, soundForm, textForm, videoForm } from "./guess";
import { PictureForm, SoundForm } from "./picture-form";
import { shapeText } from "./shape";

type Model = Schemas["ModelOut"];

const CODECS: Record<InputForm["codec"], string> = {
  tensor: "Numbers",
  image: "Pictures",
  audio: "Sounds",
  video: "Videos",
  text: "Texts",
};

/** What an input of this type and shape can be read from. */
function choicesFor(model: Model, name: string): InputForm["codec"][] {
  const tensor = model.inputs[name];
  if (!tensor || tensor.dtype === "string") return [];
  const now = formOf(model, name).codec;
  const texts = textForm(name, tensor, Object.keys(model.assets ?? {}));
  return (Object.keys(CODECS) as InputForm["codec"][]).filter(
    (codec) =>
      codec === "tensor" ||
      codec === now ||
      (codec === "image" && pictureForm(tensor) !== null) ||
      (codec === "audio" && soundForm(tensor) !== null) ||
      (codec === "video" && videoForm(tensor) !== null) ||
      (codec === "text" && texts !== null),
  );
}

const comesOfTexts = (name: string, inputs: Record<string, InputForm>) =>
  OF_A_TOKENIZER.includes(name) && Object.values(inputs).some((form) => form.codec === "text");

export function CardEditor({
  model,
  busy,
  verb,
  onSave,
  guessing = false,
}: {
  model: Model;
  busy: boolean;
  verb: string;
  onSave: (card: Record<string, unknown>) => Promise<void>;
  /** Begin with what the inputs look like, instead of what the card says. */
  guessing?: boolean;
}) {
  const [description, setDescription] = useState(model.description);
  const [inputs, setInputs] = useState<Record<string, InputForm>>(() =>
    Object.fromEntries(
      Object.entries(model.inputs).map(([name, tensor]) => [
        name,
        (guessing && guessOf(name, tensor, Object.keys(model.assets ?? {}))) || formOf(model, name),
      ]),
    ),
  );
  const outputs = (model.card.outputs ?? {}) as Record<string, { labels?: string[] | null }>;
  const [labels, setLabels] = useState<Record<string, string>>(() =>
    Object.fromEntries(Object.keys(model.outputs).map((name) => [name, (outputs[name]?.labels ?? []).join("\n")])),
  );
  const [json, setJson] = useState<string | null>(null);
  const said = () => {
    const edited = Object.entries(inputs).filter(([name]) => inTheForm(model, name));
    return json === null
      ? cardOf(description, Object.fromEntries(edited), labels, model.card)
      : (JSON.parse(json) as Record<string, unknown>);
  };
  const change = (name: string, part: Partial<InputForm>) =>
    setInputs((all) => ({ ...all, [name]: { ...(all[name] ?? formOf(model, name)), ...part } }));

  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        try {
          void onSave(said());
        } catch (error) {
          toastError(error instanceof SyntaxError ? new Error("This is not JSON.") : error);
        }
      }}
    >
      <Tabs
        label="How the card is edited"
        names={{ form: "Form", whole: "The whole card" }}
        value={json === null ? "form" : "whole"}
        onChange={(way) => setJson(way === "form" ? null : JSON.stringify(said(), null, 2))}
      >
        {json !== null && (
          <Field
            label="The card"
            hint="Everything that a card may say: codecs, crops, steps after the model. What is left out gets its default."
          >
            <textarea rows={22} spellCheck={false} value={json} onChange={(event) => setJson(event.target.value)} />
          </Field>
        )}
        {json === null && (
          <>
            <Field label="Description">
              <input
                type="text"
                maxLength={300}
                value={description}
                onChange={(event) => setDescription(event.target.value)}
              />
            </Field>
            {Object.entries(model.inputs).map(([name, tensor]) => {
              const form = inputs[name] ?? formOf(model, name);
              return (
                <fieldset className="stack" key={name}>
                  <legend className="label">
                    Input {name} <span className="soft small">{shapeText(tensor)}</span>
                  </legend>
                  {!inTheForm(model, name) && (
                    <p className="small soft">
                      Read as {String((model.card.inputs as Record<string, { codec?: string }>)[name]?.codec)}; the
                      whole card says how.
                    </p>
                  )}
                  {choicesFor(model, name).length === 1 && (
                    <p className="small soft">
                      {comesOfTexts(name, inputs)
                        ? "Comes of the texts, by the same tokenizer."
                        : "Numbers, as they are."}
                    </p>
                  )}
                  {inTheForm(model, name) && choicesFor(model, name).length > 1 && (
                    <Choose
                      label={`What ${name} is`}
                      names={Object.fromEntries(choicesFor(model, name).map((codec) => [codec, CODECS[codec]]))}
                      value={form.codec}
                      onChange={(codec) => change(name, { codec: codec as InputForm["codec"] })}
                    />
                  )}
                  {(form.codec === "image" || form.codec === "video") && inTheForm(model, name) && (
                    <PictureForm form={form} dtype={tensor.dtype} onChange={(part) => change(name, part)} />
                  )}
                  {form.codec === "audio" && inTheForm(model, name) && (
                    <SoundForm form={form} onChange={(part) => change(name, part)} />
                  )}
                </fieldset>
              );
            })}
            <details>
              <summary>Names of classes</summary>
              <div className="stack labels">
                {Object.keys(model.outputs).map((name) => (
                  <div className="stack tight" key={name}>
                    <Field label={`Output ${name}`} hint="One a line, in the order of the model.">
                      <textarea
                        rows={4}
                        value={labels[name] ?? ""}
                        onChange={(event) => setLabels((all) => ({ ...all, [name]: event.target.value }))}
                      />
                    </Field>
                    <label className="field small">
                      <span className="soft">or from a file (.txt, .json)</span>
                      <input
                        type="file"
                        accept=".txt,.json,.names,.csv"
                        onChange={(event) =>
                          void event.target.files?.[0]
                            ?.text()
                            .then((text) => setLabels((all) => ({ ...all, [name]: text.trimEnd() })))
                        }
                      />
                    </label>
                  </div>
                ))}
              </div>
            </details>
          </>
        )}
      </Tabs>
      <div>
        <button type="submit" className="button primary" disabled={busy}>
          {busy ? "Measuring …" : verb}
        </button>
      </div>
    </form>
  );
}
