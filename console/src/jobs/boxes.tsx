/** What was found in a picture, drawn over it. */
import type { Schemas } from "../api/client";
import type { Ranked } from "./items";

const HUE_STEP = 137.508; // degrees; neighbours in a list get colours far apart
/** The picture as the model's card resizes it, and where in it the model's own coordinates begin. */
export interface Frame {
  width: number;
  height: number;
  left: number;
  top: number;
  /** Of what the model takes. */
  inner: readonly [number, number];
}

/** Height and width of what the model takes from a picture; null when it takes none. */
export function sidesOf(model: Schemas["ModelOut"], name: string): readonly [number, number] | null {
  const entry = entryOf(model, name);
  if (entry?.codec !== "image") return null;
  const said = entry.crop ?? entry.resize;
  if (said) return said;
  const [, a, b, c] = model.inputs[name]?.shape ?? [];
  const [height, width] = entry.layout === "nhwc" ? [a, b] : [b, c];
  return entry.layout !== "flat" && height && width ? [height, width] : null;
}

export function frameOf(model: Schemas["ModelOut"], name: string): Frame | null {
  const inner = sidesOf(model, name);
  const entry = entryOf(model, name);
  if (!inner || !entry || (entry.crop && !entry.resize)) return null;
  const [height, width] = entry.resize ?? inner;
  return { height, width, inner, top: Math.floor((height - inner[0]) / 2), left: Math.floor((width - inner[1]) / 2) };
}

type Entry = { codec?: string; layout?: string; resize?: [number, number] | null; crop?: [number, number] | null };
function entryOf(model: Schemas["ModelOut"], name: string): Entry | undefined {
  return (model.card.inputs as Record<string, Entry> | undefined)?.[name];
}

/** Left, top, width and height in percent of the whole picture. Coordinates up to one are shares of what the model takes. */
export function placeOf(box: readonly number[], frame: Frame): [number, number, number, number] {
  const shares = box.every((side) => Math.abs(side) <= 1.5);
  const [tall, wide] = shares ? frame.inner : [1, 1];
  const [left = 0, top = 0, right = 0, bottom = 0] = box;
  const across = (side: number) => Math.max(0, Math.min(100, (100 * (side * wide + frame.left)) / frame.width));
  const down = (side: number) => Math.max(0, Math.min(100, (100 * (side * tall + frame.top)) / frame.height));
  return [across(left), down(top), across(right) - across(left), down(bottom) - down(top)];
}

export function Boxes({ found, frame }: { found: readonly Ranked[]; frame: Frame }) {
  return (
    <div className="boxes" aria-hidden="true">
      {found.map((one, place) => {
        if (!one.box) return null;
        const [left, top, width, height] = placeOf(one.box, frame);
        const color = `hsl(${(one.index * HUE_STEP) % 360} 75% 45%)`;
        return (
          <i
            // biome-ignore lint/suspicious/noArrayIndexKey: a rank is its place
            key={place}
            style={{ left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%`, borderColor: color }}
          >
            <span style={{ borderColor: color }}>
              {one.label ?? one.index} {one.score.toFixed(2)}
            </span>
          </i>
        );
      })}
    </div>
  );
}
