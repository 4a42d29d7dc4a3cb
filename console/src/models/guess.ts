/** What an input most likely is, from its type, shape and name: for files of strangers' models that say nothing else. */
import type { Schemas } from "../api/client";
import type { InputForm } from "./card";

type Tensor = Schemas["TensorOut"];
const SIDE_DEFAULT = 224;
const FRAMES_DEFAULT = 16;
const RATES = [16_000, 22_050, 44_100, 8000] as const;
const LEAST_SAMPLES = 4000;
const PICTURES = /image|img|pixel|picture|photo/i;
const SOUNDS = /audio|wave|sound|speech|samples|signal|pcm|input_values/i;
const LOGARITHM_OF_LARGEST_SIDE = 13;

/** How pictures would become this input, with settings that suit most models of such a shape; null when they cannot. */
export function pictureForm(tensor: Tensor): InputForm | null {
  if (!/^(float|uint8|uint16|int16|int32|int64|bfloat)/.test(tensor.dtype)) return null;
  const read = fourAxes(tensor.shape) ?? flatSquare(tensor.shape);
  if (!read) return null;
  const { layout, channels, height, width } = read;
  const floating = /float/.test(tensor.dtype);
  return {
    ...EMPTY,
    codec: "image",
    color: channels === 1 ? "gray" : "rgb",
    layout,
    height: layout === "flat" ? "" : String(height ?? SIDE_DEFAULT),
    width: layout === "flat" ? "" : String(width ?? SIDE_DEFAULT),
    scale: !floating ? "bytes" : usualIn(layout, channels, height) ? "imagenet" : "unit",
  };
}

/** How videos would become this input; null when they cannot. */
export function videoForm(tensor: Tensor): InputForm | null {
  const [, a = null, b = null, c = null, d = null] = tensor.shape;
  if (tensor.shape.length !== 5 || !/^(float|uint8|bfloat)/.test(tensor.dtype)) return null;
  const said = (order: InputForm["order"], frames: number | null, height: number | null, width: number | null) => ({
    ...EMPTY,
    codec: "video" as const,
    order,
    frames: String(frames ?? FRAMES_DEFAULT),
    height: String(height ?? SIDE_DEFAULT),
    width: String(width ?? SIDE_DEFAULT),
    scale: /float/.test(tensor.dtype) ? ("unit" as const) : ("bytes" as const),
  });
  if (b === 3) return said("tchw", a, c, d);
  if (a === 3) return said("cthw", b, c, d);
  return d === 3 ? said("thwc", a, b, c) : null;
}

/** How sounds would become this input; null when they cannot. */
export function soundForm(tensor: Tensor): InputForm | null {
  const [, ...item] = tensor.shape;
  const plain = item.length === 1 || (item.length === 2 && (item[0] === 1 || item[0] === null));
  const samples = item.at(-1) ?? null;
  if (!/float/.test(tensor.dtype) || !plain || (samples !== null && samples < LEAST_SAMPLES)) return null;
  const rate = samples === null ? RATES[0] : (RATES.find((one) => samples % one === 0) ?? RATES[0]);
  return { ...EMPTY, codec: "audio", rate: String(rate) };
}

/** Token numbers, for which a tokenizer came with the model. */
export function textForm(name: string, tensor: Tensor, assets: readonly string[]): InputForm | null {
  if (!isTokens(name, tensor) || !assets.includes("tokenizer.json")) return null;
  return { ...EMPTY, codec: "text" };
}

export function isTokens(name: string, tensor: Tensor): boolean {
  return (
    /^(input_?ids|tokens|token_ids)$/i.test(name) && /^u?int(32|64)$/.test(tensor.dtype) && tensor.shape.length === 2
  );
}

/** What this input looks like, unless it looks like plain numbers. */
export function guessOf(name: string, tensor: Tensor, assets: readonly string[] = []): InputForm | null {
  const picture = pictureForm(tensor);
  const channels = picture?.layout === "nhwc" ? tensor.shape[3] : tensor.shape[1];
  const plain = picture && picture.layout !== "flat" && channels !== null;
  if (picture && (plain || PICTURES.test(name))) return picture;
  const video = videoForm(tensor);
  if (video) return video;
  const sound = soundForm(tensor);
  const samples = tensor.shape.at(-1) ?? null;
  const round = samples !== null && RATES.some((rate) => samples % (rate / 2) === 0);
  if (sound && (SOUNDS.test(name) || (round && tensor.dtype !== "float64"))) return sound;
  return textForm(name, tensor, assets);
}

export const EMPTY: InputForm = {
  codec: "tensor",
  color: "rgb",
  layout: "nchw",
  height: "",
  width: "",
  scale: "unit",
  factor: String(1 / 255),
  frames: "",
  order: "tchw",
  rate: "16000",
  normalize: false,
};

interface Axes {
  layout: InputForm["layout"];
  channels: number;
  height: number | null;
  width: number | null;
}

function fourAxes(shape: readonly (number | null)[]): Axes | null {
  if (shape.length !== 4) return null;
  const [, a = null, b = null, c = null] = shape;
  const side = (axis: number | null) => axis === null || (axis >= 8 && axis <= 2 ** LOGARITHM_OF_LARGEST_SIDE);
  if ((a === 1 || a === 3) && side(b) && side(c)) return { layout: "nchw", channels: a, height: b, width: c };
  if ((c === 1 || c === 3) && side(a) && side(b)) return { layout: "nhwc", channels: c, height: a, width: b };
  if (a === null && side(b) && side(c)) return { layout: "nchw", channels: 3, height: b, width: c };
  return null;
}

/** Pixels in one row say no sides; they can only be a square. */
function flatSquare(shape: readonly (number | null)[]): Axes | null {
  const [, count = null] = shape;
  if (shape.length !== 2 || count === null) return null;
  for (const channels of [1, 3]) {
    const side = Math.sqrt(count / channels);
    if (Number.isInteger(side) && side >= 8) return { layout: "flat", channels, height: side, width: side };
  }
  return null;
}

/** Classifiers of photographs were nearly all trained on ImageNet's scale, and say so by their size. */
function usualIn(layout: InputForm["layout"], channels: number, height: number | null): boolean {
  return layout === "nchw" && channels === 3 && height !== null && [224, 256, 288, 299, 384].includes(height);
}
