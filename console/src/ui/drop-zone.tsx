import { useId, useState } from "react";
import { filesDropped } from "./dropped";
import { Icon } from "./icons";

/** A place for files and folders: dropped, or chosen with mouse or keyboard. */
export function DropZone({
  label,
  hint,
  accept,
  multiple = true,
  onFiles,
}: {
  label: string;
  hint: string;
  accept: string;
  multiple?: boolean;
  onFiles: (files: File[]) => void;
}) {
  const [over, setOver] = useState(false);
  const id = useId();
  const take = (list: Iterable<File> | null) => {
    const files = [...(list ?? [])];
    if (files.length) onFiles(multiple ? files : files.slice(0, 1));
  };
  return (
    <label
      className={over ? "drop over" : "drop"}
      htmlFor={id}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        void filesDropped(event.dataTransfer, accept).then(take);
      }}
    >
      <Icon name="upload" size={24} />
      <strong>{label}: drop or choose</strong>
      <span className="small">{hint}</span>
      <input
        id={id}
        className="visually-hidden"
        type="file"
        accept={accept}
        multiple={multiple}
        onChange={(event) => {
          take(event.target.files);
          event.target.value = "";
        }}
      />
    </label>
  );
}
