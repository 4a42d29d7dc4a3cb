/** Labels of a job: shown as chips, and edited as such. */
import { useState } from "react";
import { Icon } from "../ui/icons";
import { LABELS_MAX, labelOf } from "./request";

export function LabelChips({ labels }: { labels: Readonly<Record<string, string>> }) {
  return (
    <>
      {Object.entries(labels).map(([name, value]) => (
        <span className="badge" key={name}>
          {name}: {value}
        </span>
      ))}
    </>
  );
}

export function LabelsEditor({
  labels,
  onChange,
}: {
  labels: Readonly<Record<string, string>>;
  onChange: (labels: Record<string, string>) => void;
}) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const add = () => {
    if (!text.trim()) return;
    const label = labelOf(text);
    if (typeof label === "string") return setProblem(label);
    setText("");
    setProblem(null);
    onChange({ ...labels, [label[0]]: label[1] });
  };
  const full = Object.keys(labels).length >= LABELS_MAX;
  return (
    <div className="stack tight">
      {Object.keys(labels).length > 0 && (
        <ul className="chips">
          {Object.entries(labels).map(([name, value]) => (
            <li className="badge" key={name}>
              {name}: {value}
              <button
                type="button"
                className="icon-button"
                aria-label={`Remove the label ${name}`}
                onClick={() => onChange(Object.fromEntries(Object.entries(labels).filter(([one]) => one !== name)))}
              >
                <Icon name="close" size={13} />
              </button>
            </li>
          ))}
        </ul>
      )}
      <span className="row">
        <input
          type="text"
          className="grow"
          aria-label="A label, as name:value"
          placeholder="name:value"
          maxLength={270}
          disabled={full}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            add();
          }}
          onBlur={add}
        />
        <button type="button" className="button small" disabled={full || !text.trim()} onClick={add}>
          Add
        </button>
      </span>
      {problem && (
        <span className="bad small" role="alert">
          {problem}
        </span>
      )}
      {full && <span className="small soft">A job has at most {LABELS_MAX} labels.</span>}
    </div>
  );
}
