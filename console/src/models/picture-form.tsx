/** How pictures, videos or sounds become an input, as fields. */
import { Field } from "../ui/small";
import { type InputForm, SCALES, type Scale, scalesFor } from "./card";

interface FormProps {
  form: InputForm;
  dtype: string;
  onChange: (part: Partial<InputForm>) => void;
}

export function PictureForm({ form, dtype, onChange }: FormProps) {
  const scales = scalesFor(form, dtype);
  const colored = (color: InputForm["color"]) =>
    onChange({ color, ...(color === "gray" && form.scale === "imagenet" && { scale: "unit" }) });
  return (
    <div className="grid-fields">
      <Field label="Colour">
        <select value={form.color} onChange={(event) => colored(event.target.value as InputForm["color"])}>
          <option value="rgb">RGB</option>
          <option value="bgr">BGR</option>
          {form.codec === "image" && <option value="gray">gray</option>}
        </select>
      </Field>
      {form.codec === "video" && (
        <Field label="Frames of each" hint="Spread evenly over the video.">
          <input
            type="text"
            inputMode="numeric"
            value={form.frames}
            onChange={(event) => onChange({ frames: event.target.value })}
          />
        </Field>
      )}
      {form.codec === "image" && (
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
      )}
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
          {scales.map((key) => (
            <option key={key} value={key}>
              {SCALES[key]}
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

export function SoundForm({ form, onChange }: Omit<FormProps, "dtype">) {
  return (
    <div className="grid-fields">
      <Field label="Samples a second" hint="Sounds are brought to this rate, and mixed to one channel.">
        <input
          type="text"
          inputMode="numeric"
          value={form.rate}
          onChange={(event) => onChange({ rate: event.target.value })}
        />
      </Field>
      <label className="check">
        <input
          type="checkbox"
          checked={form.normalize}
          onChange={(event) => onChange({ normalize: event.target.checked })}
        />
        <span>Bring each to mean 0 and deviation 1</span>
      </label>
    </div>
  );
}

/** "224 × 224, RGB, values 0 … 1": what the form says, in a line. */
export function formWords(form: InputForm): string {
  if (form.codec === "audio") return `${form.rate} samples a second${form.normalize ? ", brought to mean 0" : ""}`;
  const size = form.height && form.width ? `${form.height} × ${form.width}` : "in their own size";
  const color = { rgb: "RGB", bgr: "BGR", gray: "gray" }[form.color];
  const frames = form.codec === "video" ? `${form.frames} frames of ` : "";
  return `${frames}${size}, ${color}, values ${SCALES[form.scale]}`;
}
