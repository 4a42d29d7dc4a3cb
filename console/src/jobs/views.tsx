/** One output as what it is: labels, the most likely classes, pictures, a table, or a summary of the numbers. */
import { useEffect, useMemo, useRef, useState } from "react";
import { areProbabilities, itemSize, itemValues, type Summary, summarise, type Tensor, topK } from "../tensors/npy";
import { countText, plural } from "../ui/amounts";
import { Bars } from "../ui/bars";
import { Bar } from "../ui/small";
import { Tip } from "../ui/tip";
import { Picture } from "./picture";

const TILES = 48;
const CLASSES_MAX = 5000;
const COLUMNS_MAX = 16;
const ROWS_FIRST = 25;
const ROWS_MORE = 250;

export type View = "labels" | "classes" | "pictures" | "table" | "numbers";

/** How an output is best shown. */
export function viewOf(tensor: Tensor, labels: readonly string[] | null): View {
  const size = itemSize(tensor);
  const integers = /^u?int/.test(tensor.dtype);
  if (integers && size === 1) return "labels";
  if (
    !integers &&
    size > 1 &&
    size <= CLASSES_MAX &&
    tensor.shape.length === 2 &&
    (labels?.length === size || areProbabilities(itemValues(tensor, 0)))
  )
    return "classes";
  if (pictureLayout(tensor.shape)) return "pictures";
  if (size <= COLUMNS_MAX && tensor.shape.length <= 2) return "table";
  return "numbers";
}

/** Channels, height, width and whether channels come first; null when it is no picture. */
export function pictureLayout(
  shape: readonly number[],
): { channels: number; height: number; width: number; first: boolean } | null {
  const [, a = 0, b = 0, c = 0] = shape;
  const big = (side: number) => side >= 8 && side <= 4096;
  if (shape.length !== 4) return null;
  if ((a === 1 || a === 3) && big(b) && big(c)) return { channels: a, height: b, width: c, first: true };
  if ((c === 1 || c === 3) && big(a) && big(b)) return { channels: c, height: a, width: b, first: false };
  return null;
}

interface ShownProps {
  tensor: Tensor;
  labels: string[] | null;
  failed: ReadonlySet<number>;
  files: readonly string[];
  name: string;
}

export function Shown(props: ShownProps) {
  const view = viewOf(props.tensor, props.labels);
  if (view === "labels") return <Labels {...props} />;
  if (view === "classes") return <Classes {...props} />;
  if (view === "pictures") return <Pictures {...props} />;
  if (view === "table") return <Table {...props} />;
  return <Numbers {...props} />;
}

function Labels({ tensor, labels, failed, files }: ShownProps) {
  const [shown, setShown] = useState(TILES);
  const count = tensor.shape[0] ?? 0;
  const pictures = files.length === count;
  return (
    <>
      <ol className="tiles">
        {Array.from({ length: Math.min(shown, count) }, (_, item) => {
          const value = Number(tensor.values[item]);
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: an item is its index
            <li className="tile" key={item}>
              {pictures && <Picture file={files[item] ?? ""} alt={`Item ${item}`} />}
              {failed.has(item) ? <span className="bad small">failed</span> : <b>{labels?.[value] ?? value}</b>}
              <span className="soft small num">{item}</span>
            </li>
          );
        })}
      </ol>
      {shown < count && (
        <button type="button" className="button small" onClick={() => setShown(shown + 240)}>
          Show more of {countText(count)}
        </button>
      )}
    </>
  );
}

function Classes({ tensor, labels, failed, files, name }: ShownProps) {
  const [item, setItem] = useState(0);
  const count = tensor.shape[0] ?? 0;
  const values = itemValues(tensor, item);
  const best = topK(values, 5);
  const shares = areProbabilities(values);
  const least = shares ? 0 : Math.min(...values);
  const range = shares ? 1 : (best[0]?.value ?? 1) - least || 1;
  return (
    <div className="stack">
      <Stepper item={item} count={count} onChange={setItem} name={name} />
      <div className="row top">
        {files.length === count && (
          <div className="tile">
            <Picture file={files[item] ?? ""} alt={`Item ${item}`} />
          </div>
        )}
        {failed.has(item) ? (
          <p className="bad">This item failed; there is nothing to show.</p>
        ) : (
          <ol className="bars grow">
            {best.map(({ index, value }) => {
              const label = labels?.[index] ?? String(index);
              return (
                <li key={index}>
                  <Tip says={label} taps>
                    <span>{label}</span>
                  </Tip>
                  <Bar done={(value - least) / range} total={1} label={label} />
                  <span className="num right">{shares ? `${(100 * value).toFixed(1)} %` : value.toPrecision(4)}</span>
                </li>
              );
            })}
          </ol>
        )}
      </div>
    </div>
  );
}

function Stepper({
  item,
  count,
  onChange,
  name,
}: {
  item: number;
  count: number;
  onChange: (item: number) => void;
  name: string;
}) {
  return (
    <div className="row">
      <button type="button" className="button small" disabled={item === 0} onClick={() => onChange(item - 1)}>
        Previous
      </button>
      <label className="row small">
        Item
        <input
          className="item-number"
          type="number"
          min={0}
          max={count - 1}
          value={item}
          aria-label={`Item of ${name}`}
          onChange={(event) => onChange(Math.max(0, Math.min(count - 1, Math.floor(Number(event.target.value) || 0))))}
        />
        of {countText(count)}
      </label>
      <button type="button" className="button small" disabled={item >= count - 1} onClick={() => onChange(item + 1)}>
        Next
      </button>
    </div>
  );
}

function Pictures({ tensor, failed }: ShownProps) {
  const layout = pictureLayout(tensor.shape);
  const count = Math.min(tensor.shape[0] ?? 0, 24);
  return (
    <ol className="tiles wide">
      {layout &&
        Array.from({ length: count }, (_, item) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: an item is its index
          <li className="tile" key={item}>
            {failed.has(item) ? (
              <span className="bad small">failed</span>
            ) : (
              <Raster values={itemValues(tensor, item)} layout={layout} item={item} />
            )}
            <span className="soft small num">{item}</span>
          </li>
        ))}
    </ol>
  );
}

function Raster({
  values,
  layout,
  item,
}: {
  values: number[];
  layout: NonNullable<ReturnType<typeof pictureLayout>>;
  item: number;
}) {
  const ref = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const pen = ref.current?.getContext("2d");
    if (!pen) return;
    const { channels, height, width, first } = layout;
    const pixels = pen.createImageData(width, height);
    let top = 0;
    for (const value of values) if (value > top) top = value;
    const scale = top <= 1.0001 ? 255 : 1; // shares of one, or bytes
    for (let place = 0; place < width * height; place += 1) {
      for (let color = 0; color < 3; color += 1) {
        const channel = Math.min(color, channels - 1);
        pixels.data[4 * place + color] =
          (values[first ? channel * width * height + place : place * channels + channel] ?? 0) * scale;
      }
      pixels.data[4 * place + 3] = 255;
    }
    pen.putImageData(pixels, 0, 0);
  }, [values, layout]);
  return (
    <canvas ref={ref} width={layout.width} height={layout.height} role="img" aria-label={`Picture of item ${item}`} />
  );
}

function Table(props: ShownProps) {
  const { tensor, labels, failed, name } = props;
  const [shown, setShown] = useState(ROWS_FIRST);
  const count = tensor.shape[0] ?? 0;
  const size = itemSize(tensor);
  const heads = Array.from({ length: size }, (_, column) =>
    size === 1 ? name : labels?.length === size ? labels[column] : String(column),
  );
  return (
    <div className="stack">
      <div className="scroll">
        <table className="values">
          <thead>
            <tr>
              <th className="num">Item</th>
              {heads.map((head, column) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a column is its index
                <th className="num" key={column}>
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {Array.from({ length: Math.min(shown, count) }, (_, item) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: an item is its index
              <tr key={item}>
                <td className="num soft">{item}</td>
                {failed.has(item) ? (
                  <td className="num bad" colSpan={size}>
                    failed
                  </td>
                ) : (
                  itemValues(tensor, item).map((value, column) => (
                    // biome-ignore lint/suspicious/noArrayIndexKey: a column is its index
                    <td className="num" key={column}>
                      {Number.isInteger(value) ? value : Number(value.toPrecision(6))}
                    </td>
                  ))
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown < count && (
        <div>
          <button type="button" className="button small" onClick={() => setShown(shown + ROWS_MORE)}>
            Show more of {countText(count)}
          </button>
        </div>
      )}
      <details>
        <summary className="small">All values together</summary>
        <Numbers {...props} />
      </details>
    </div>
  );
}

function Numbers({ tensor }: ShownProps) {
  const summary = useMemo(() => summarise(tensor.values), [tensor]);
  const first = itemValues(tensor, 0).slice(0, 12);
  return (
    <div className="stack">
      <dl className="facts">
        {(["min", "mean", "max", "deviation"] as const).map((key) => (
          <div className="fact" key={key}>
            <dt>{key === "deviation" ? "standard deviation" : key}</dt>
            <dd>{summary.count ? summary[key].toPrecision(5) : "none"}</dd>
          </div>
        ))}
      </dl>
      {summary.count > 0 && <Histogram of={summary} />}
      <p className="small soft wrap">
        {plural(summary.count, "value")}
        {summary.notFinite > 0 && `, ${countText(summary.notFinite)} not finite`}. The first item begins{" "}
        {first.map((value) => Number(value.toPrecision(5))).join(", ")} …
      </p>
    </div>
  );
}

const round = (value: number) => String(Number(value.toPrecision(3)));

/** How many values lie where. */
function Histogram({ of }: { of: Summary }) {
  const bars = useMemo(() => {
    const wide = (of.max - of.min || 1) / of.histogram.length;
    return of.histogram.map((count, bin) => ({
      label: round(of.min + bin * wide),
      words: `from ${round(of.min + bin * wide)} to ${round(of.min + (bin + 1) * wide)}`,
      amount: count,
      shown: countText(count),
      said: plural(count, "value"),
    }));
  }, [of]);
  return (
    <Bars
      name="Histogram"
      bars={bars}
      whole={[`Histogram from ${round(of.min)} to ${round(of.max)}`, plural(of.count, "value")]}
      tickText={countText}
    >
      <table>
        <thead>
          <tr>
            <th>Values</th>
            <th className="num">How many</th>
          </tr>
        </thead>
        <tbody>
          {bars.map((bar) => (
            <tr key={bar.words}>
              <td>{bar.words}</td>
              <td className="num">{bar.shown}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Bars>
  );
}
