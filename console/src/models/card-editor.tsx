import { useState } from "react";
import type { Schemas } from "../api/client";
import { Choose, Tabs } from "../ui/choose";
import { Field } from "../ui/small";
import { toastError } from "../ui/toasts";
import { cardOf, formOf, type InputForm, inTheForm, SCALES, type Scale } from "./card";
import { shapeText } from "./shape";

type Model = Schemas["ModelOut"];

export function CardEditor({
  model,
  busy,
  verb,
  onSave,
}: {
  model: Model;
  busy: boolean;
  verb: string;
  onSave: (card: Record<string, unknown>) => Promise<void>;
}) {
  const [description, setDescription] = useState(model.description);
  const [inputs, setInputs] = useState<Record<string, InputForm>>(() =>
    Object.fromEntries(Object.keys(model.inputs).map((name) => [name, formOf(model, name)])),
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
                  {inTheForm(model, name) && (
                    <Choose
                      label={`What ${name} is`}
                      names={{ tensor: "Numbers", image: "Pictures" }}
                      value={form.codec}
                      onChange={(codec) => change(name, { codec })}
                    />
                  )}
                  {form.codec === "image" && inTheForm(model, name) && (
                    <ImageForm form={form} onChange={(part) => change(name, part)} />
                  )}
                </fieldset>
              );
            })}
            <details>
              <summary>Names of classes</summary>
              <div className="stack labels">
                {Object.keys(model.outputs).map((name) => (
                  <Field key={name} label={`Output ${name}`} hint="One a line, in the order of the model.">
                    <textarea
                      rows={4}
                      value={labels[name] ?? ""}
                      onChange={(event) => setLabels((all) => ({ ...all, [name]: event.target.value }))}
                    />
                  </Field>
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

function ImageForm({ form, onChange }: { form: InputForm; onChange: (part: Partial<InputForm>) => void }) {
  return (
    <div className="grid-fields">
      <Field label="Colour">
        <select value={form.color} onChange={(event) => onChange({ color: event.target.value as InputForm["color"] })}>
          <option value="rgb">RGB</option>
          <option value="bgr">BGR</option>
          <option value="gray">gray</option>
        </select>
      </Field>
      <Field label="Order of axes">
        <select
          value={form.layout}
          onChange={(event) => onChange({ layout: event.target.value as InputForm["layout"] })}
        >
          <option value="nchw">channels first</option>
          <option value="nhwc">channels last</option>
          <option value="flat">all in one row</option>
        </select>
      </Field>
      <Field label="Resize to height" hint="Empty: pictures have the size already.">
        <input
          type="text"
          inputMode="numeric"
          value={form.height}
          onChange={(event) => onChange({ height: event.target.value })}
        />
      </Field>
      <Field label="Resize to width">
        <input
          type="text"
          inputMode="numeric"
          value={form.width}
          onChange={(event) => onChange({ width: event.target.value })}
        />
      </Field>
      <Field label="Values the model expects">
        <select value={form.scale} onChange={(event) => onChange({ scale: event.target.value as Scale })}>
          {Object.entries(SCALES).map(([key, words]) => (
            <option key={key} value={key}>
              {words}
            </option>
          ))}
        </select>
      </Field>
      {form.scale === "own" && (
        <Field label="Factor for a byte">
          <input
            type="text"
            inputMode="decimal"
            value={form.factor}
            onChange={(event) => onChange({ factor: event.target.value })}
          />
        </Field>
      )}
    </div>
  );
}
