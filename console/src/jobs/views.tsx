/** One output as what it is: labels, the most likely classes, pictures, a table, or a summary of the numbers. */
import { useMemo, useState } from "react";
import { areProbabilities, itemSize, itemValues, type Summary, summarise, type Tensor, topK } from "../tensors/npy";
import { countText, plural } from "../ui/amounts";
import { Bars } from "../ui/bars";
import { Bar } from "../ui/small";
import { Tip } from "../ui/tip";
import { GivenItem } from "./given";
import { Pictures, Segments } from "./rasters";
import type { Source } from "./sources";

const TILES = 48;
const LINES = 12;
const CLASSES_MAX = 5000;
const COLUMNS_MAX = 16;
const ROWS_FIRST = 25;
const ROWS_MORE = 250;

export type View = "labels" | "classes" | "pictures" | "segments" | "table" | "numbers";
/** Height and width of the pictures that were given. */
export type Sides = readonly [number, number];

/** How an output is best shown; `sides` says how large the pictures are that the model took, if it took any. */
export function viewOf(tensor: Tensor, labels: readonly string[] | null, sides: Sides | null = null): View {
  const size = itemSize(tensor);
  const integers = /^u?int/.test(tensor.dtype);
  if ((integers || tensor.dtype === "bool") && size === 1) return "labels";
  if (
    !integers &&
    size > 1 &&
    size <= CLASSES_MAX &&
    tensor.shape.length === 2 &&
    (labels?.length === size || areProbabilities(itemValues(tensor, 0)))
  )
    return "classes";
  if (areSegments(tensor, sides)) return "segments";
  if (pictureLayout(tensor.shape, sides)) return "pictures";
  if (size <= COLUMNS_MAX && tensor.shape.length <= 2) return "table";
  return "numbers";
}

export interface Layout {
  channels: number;
  height: number;
  width: number;
  /** Whether channels come before rows. */
  first: boolean;
}

/** How pictures lie in this output; null when these are none. */
export function pictureLayout(shape: readonly number[], sides: Sides | null = null): Layout | null {
  const [, a = 0, b = 0, c = 0] = shape;
  const big = (side: number) => side >= 8 && side <= 4096;
  // A plane of numbers is a picture, of depths say, where it is as large as the pictures that were given.
  if (shape.length === 3 && areSides(sides, a, b)) return { channels: 1, height: a, width: b, first: true };
  if (shape.length !== 4) return null;
  if ((a === 1 || a === 3) && big(b) && big(c)) return { channels: a, height: b, width: c, first: true };
  if ((c === 1 || c === 3) && big(a) && big(b)) return { channels: c, height: a, width: b, first: false };
  return null;
}

/** Whether each place of the pictures that were given has a class, or a number for each class. */
function areSegments({ dtype, shape }: Tensor, sides: Sides | null): boolean {
  const [, a = 0, b = 0, c = 0] = shape;
  const whole = /^int/.test(dtype);
  if (shape.length === 3) return whole && areSides(sides, a, b);
  if (shape.length !== 4 || !areSides(sides, b, c)) return false;
  return whole ? a === 1 : a !== 1 && a !== 3 && a <= 1000;
}

const areSides = (sides: Sides | null, height: number, width: number) =>
  sides !== null && height >= 8 && sides[0] === height && sides[1] === width;

export interface ShownProps {
  tensor: Tensor;
  labels: string[] | null;
  failed: ReadonlySet<number>;
  given: readonly Source[];
  name: string;
  sides: Sides | null;
}

export function Shown(props: ShownProps) {
  const view = viewOf(props.tensor, props.labels, props.sides);
  if (view === "labels") return <Labels {...props} />;
  if (view === "classes") return <Classes {...props} />;
  if (view === "pictures") return <Pictures {...props} />;
  if (view === "segments") return <Segments {...props} />;
  if (view === "table") return <Table {...props} />;
  return <Numbers {...props} />;
}

function Labels({ tensor, labels, failed, given }: ShownProps) {
  const said = Array.from(tensor.values as ArrayLike<number | bigint>, (value) =>
    tensor.dtype === "bool" ? (value ? "yes" : "no") : (labels?.[Number(value)] ?? String(value)),
  );
  return <LabelList said={said} failed={failed} given={given} />;
}

/** A word for each item: tiles where pictures or nothing was given, else lines beside the sound, video or text. */
export function LabelList({ said, failed, given }: { said: string[] } & Pick<ShownProps, "failed" | "given">) {
  const known = given.length === said.length;
  const lines = known && given.some((source) => source.kind !== "image");
  const [shown, setShown] = useState(lines ? LINES : TILES);
  return (
    <>
      <ol className={lines ? "lines" : "tiles"}>
        {said.slice(0, shown).map((word, item) => {
          const source = known ? given[item] : undefined;
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: an item is its index
            <li className={lines ? "item-line" : "tile"} key={item}>
              {source && <GivenItem source={source} item={item} />}
              {failed.has(item) ? <span className="bad small">failed</span> : <b>{word}</b>}
              <span className="soft small num">{item}</span>
            </li>
          );
        })}
      </ol>
      {shown < said.length && (
        <button type="button" className="button small" onClick={() => setShown(shown + (lines ? LINES : 240))}>
          Show more of {countText(said.length)}
        </button>
      )}
    </>
  );
}

function Classes({ tensor, labels, failed, given, name }: ShownProps) {
  const [item, setItem] = useState(0);
  const count = tensor.shape[0] ?? 0;
  const source = given.length === count ? given[item] : undefined;
  const values = itemValues(tensor, item);
  const best = topK(values, 5);
  const shares = areProbabilities(values);
  const least = shares ? 0 : Math.min(...values);
  const range = shares ? 1 : (best[0]?.value ?? 1) - least || 1;
  return (
    <div className="stack">
      <Stepper item={item} count={count} onChange={setItem} name={name} />
      <div className="row top">
        {source && (
          <div className={source.kind === "image" ? "tile" : "given"}>
            <GivenItem key={item} source={source} item={item} />
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

function Table(props: ShownProps) {
  const { tensor, labels, failed, given, name } = props;
  const [shown, setShown] = useState(ROWS_FIRST);
  const count = tensor.shape[0] ?? 0;
  const size = itemSize(tensor);
  const known = given.length === count && count > 0;
  const heads = Array.from({ length: size }, (_, column) =>
    size === 1 ? name : labels?.length === size ? labels[column] : String(column),
  );
  return (
    <div className="stack">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section className="scroll" tabIndex={0} aria-label={`Values of ${name}`}>
        <table className="values">
          <thead>
            <tr>
              <th className="num">Item</th>
              {known && <th>Given</th>}
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
                {known && (
                  <td className="given-cell">{given[item] && <GivenItem source={given[item]} item={item} />}</td>
                )}
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
      </section>
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
