/** Outputs that are pictures: drawn from their numbers, or as a map of the class of each place. */
import { type ReactNode, useEffect, useMemo, useRef } from "react";
import { itemValues, type Tensor } from "../tensors/npy";
import { GivenItem } from "./given";
import { type Layout, pictureLayout, type ShownProps } from "./views";

const PICTURES_MAX = 24;
const CLASSES_NAMED = 6;
const HUE_STEP = 137.508; // degrees; neighbouring classes get colours far apart

export function Pictures({ tensor, failed, sides, given }: ShownProps) {
  const layout = pictureLayout(tensor.shape, sides);
  if (!layout) return null;
  return (
    <Tiles count={tensor.shape[0] ?? 0} failed={failed} given={given}>
      {(item) => <Raster tensor={tensor} layout={layout} item={item} />}
    </Tiles>
  );
}

function Raster({ tensor, layout, item }: { tensor: Tensor; layout: Layout; item: number }) {
  const { channels, height, width, first } = layout;
  const draw = (pixels: Uint8ClampedArray) => {
    const values = itemValues(tensor, item);
    const [scale, offset] = scaleOf(values);
    for (let place = 0; place < width * height; place += 1) {
      for (let color = 0; color < 3; color += 1) {
        const channel = Math.min(color, channels - 1);
        const value = values[first ? channel * width * height + place : place * channels + channel] ?? 0;
        pixels[4 * place + color] = value * scale + offset;
      }
      pixels[4 * place + 3] = 255;
    }
  };
  return <Canvas height={height} width={width} draw={draw} of={tensor} label={`Picture of item ${item}`} />;
}

/** Factor and summand that make bytes: of shares of one, of −1 … 1, of bytes, and of anything else from its least to its most. */
export function scaleOf(values: readonly number[]): [number, number] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (least >= 0 && most <= 1.0001) return [255, 0];
  if (least >= -1.0001 && most <= 1.0001) return [127.5, 127.5];
  if (least >= 0 && most <= 255.5) return [1, 0];
  const range = most - least || 1;
  return [255 / range, (-255 * least) / range];
}

/** The most likely class of each place of one item. */
export function classesOf(tensor: Tensor, item: number): Uint16Array {
  const [, classes = 1] = tensor.shape.length === 4 ? tensor.shape : [];
  const values = itemValues(tensor, item);
  const places = values.length / classes;
  const best = new Uint16Array(places);
  for (let place = 0; place < places; place += 1) {
    if (classes === 1) best[place] = values[place] ?? 0;
    else
      for (let one = 1; one < classes; one += 1)
        if ((values[one * places + place] ?? 0) > (values[(best[place] ?? 0) * places + place] ?? 0)) best[place] = one;
  }
  return best;
}

export function Segments({ tensor, failed, labels, given }: ShownProps) {
  return (
    <Tiles count={tensor.shape[0] ?? 0} failed={failed} given={given}>
      {(item) => <Segmented tensor={tensor} item={item} labels={labels} />}
    </Tiles>
  );
}

function Segmented({ tensor, item, labels }: { tensor: Tensor; item: number; labels: string[] | null }) {
  const [height = 1, width = 1] = tensor.shape.slice(-2);
  const classes = useMemo(() => classesOf(tensor, item), [tensor, item]);
  const counts = new Map<number, number>();
  for (const one of classes) counts.set(one, (counts.get(one) ?? 0) + 1);
  const draw = (pixels: Uint8ClampedArray) => {
    for (const [place, one] of classes.entries()) pixels.set([...colorOf(one), 255], 4 * place);
  };
  const most = [...counts].sort((a, b) => b[1] - a[1]).slice(0, CLASSES_NAMED);
  return (
    <>
      <Canvas height={height} width={width} draw={draw} of={classes} label={`Classes in item ${item}`} />
      <ul className="legend small">
        {most.map(([one, count]) => (
          <li key={one}>
            <i style={{ background: `rgb(${colorOf(one).join(" ")})` }} />
            {labels?.[one] ?? one} <span className="soft">{Math.round((100 * count) / classes.length)} %</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Class 0 is mostly the background. */
function colorOf(one: number): [number, number, number] {
  if (one === 0) return [58, 62, 68];
  const hue = (one * HUE_STEP) % 360;
  const part = (shift: number) => {
    const at = (shift + hue / 30) % 12;
    return Math.round(255 * (0.52 - 0.34 * Math.max(-1, Math.min(at - 3, 9 - at, 1))));
  };
  return [part(0), part(8), part(4)];
}

/** The picture that was given stands above what was made of it. */
function Tiles({
  count,
  failed,
  given,
  children,
}: Pick<ShownProps, "failed" | "given"> & { count: number; children: (item: number) => ReactNode }) {
  const before = (item: number) => (given.length === count ? given[item] : undefined);
  return (
    <ol className="tiles wide made">
      {Array.from({ length: Math.min(count, PICTURES_MAX) }, (_, item) => {
        const source = before(item);
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: an item is its index
          <li className="tile" key={item}>
            {source?.kind === "image" && <GivenItem source={source} item={item} />}
            {failed.has(item) ? <span className="bad small">failed</span> : children(item)}
            <span className="soft small num">{item}</span>
          </li>
        );
      })}
    </ol>
  );
}

/** Drawn anew when `of` is another. */
function Canvas({
  height,
  width,
  draw,
  of,
  label,
}: {
  height: number;
  width: number;
  draw: (pixels: Uint8ClampedArray) => void;
  of: unknown;
  label: string;
}) {
  const ref = useRef<HTMLCanvasElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `draw` is made anew each time, from `of`
  useEffect(() => {
    const pen = ref.current?.getContext("2d");
    if (!pen) return;
    const pixels = pen.createImageData(width, height);
    draw(pixels.data);
    pen.putImageData(pixels, 0, 0);
  }, [of, width, height]);
  return <canvas ref={ref} width={width} height={height} role="img" aria-label={label} />;
}
