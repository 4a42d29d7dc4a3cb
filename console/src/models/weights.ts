/** An ONNX file whose weights lie in other files, joined into one: read as far as that takes, and copied by reference. */

type Piece = Uint8Array<ArrayBuffer> | Blob;
interface Field {
  number: number;
  wire: number;
  /** Tag and all. */
  whole: Uint8Array<ArrayBuffer>;
  /** What the length says, of wire type 2. */
  content: Uint8Array<ArrayBuffer>;
  value: number;
}

const GRAPH = 7; // of a model
const INITIALIZER = 5; // of a graph
const RAW_DATA = 9; // of a tensor, as the next two
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;
const PARSED_BYTES_MAX = 256 * 1024 * 1024;

/** Names of the files beside it in which a model keeps weights; empty when it is whole. */
export async function weightsBeside(model: File): Promise<string[]> {
  if (model.size > PARSED_BYTES_MAX) return []; // so large only with its weights inside
  const names = new Set<string>();
  for (const tensor of tensorsOf(new Uint8Array(await model.arrayBuffer()))) {
    const { location } = placeOf([...fieldsOf(tensor)]);
    if (location !== undefined) names.add(location);
  }
  return [...names];
}

/** The model with everything inside. Throws in words when a file is missing or too short. */
export async function joined(model: File, beside: readonly File[]): Promise<File> {
  const files = new Map(beside.map((file) => [file.name, file]));
  const pieces: Piece[] = [];
  for (const field of fieldsOf(new Uint8Array(await model.arrayBuffer()))) {
    if (field.number !== GRAPH) pieces.push(field.whole);
    else pieces.push(...lengthed(GRAPH, wholeGraph(field.content, files)));
  }
  return new File(pieces, model.name);
}

function wholeGraph(graph: Uint8Array<ArrayBuffer>, files: ReadonlyMap<string, File>): Piece[] {
  const pieces: Piece[] = [];
  for (const field of fieldsOf(graph)) {
    if (field.number !== INITIALIZER) pieces.push(field.whole);
    else pieces.push(...lengthed(INITIALIZER, wholeTensor(field.content, files)));
  }
  return pieces;
}

function wholeTensor(tensor: Uint8Array<ArrayBuffer>, files: ReadonlyMap<string, File>): Piece[] {
  const fields = [...fieldsOf(tensor)];
  const { location, offset, length } = placeOf(fields);
  if (location === undefined) return [tensor];
  const file = files.get(location.split("/").at(-1) ?? location);
  if (!file) throw new Error(`The model keeps weights in ${location}; drop that file together with it.`);
  const end = length === undefined ? file.size : offset + length;
  if (end > file.size)
    throw new Error(`${file.name} is shorter than the model says; is it the one that belongs to it?`);
  const kept = fields.filter(({ number }) => number !== EXTERNAL_DATA && number !== DATA_LOCATION);
  return [...kept.map(({ whole }) => whole), ...lengthed(RAW_DATA, [file.slice(offset, end)])];
}

function* tensorsOf(model: Uint8Array<ArrayBuffer>): Generator<Uint8Array<ArrayBuffer>> {
  for (const graph of fieldsOf(model))
    if (graph.number === GRAPH)
      for (const field of fieldsOf(graph.content)) if (field.number === INITIALIZER) yield field.content;
}

/** Where a tensor says that its data lies; nothing for one that holds its own. */
function placeOf(fields: readonly Field[]): { location?: string; offset: number; length?: number } {
  if (!fields.some(({ number, value }) => number === DATA_LOCATION && value === 1)) return { offset: 0 };
  const said = new Map<string, string>();
  for (const field of fields) {
    if (field.number !== EXTERNAL_DATA) continue;
    const [key, value] = [...fieldsOf(field.content)].map(({ content }) => new TextDecoder().decode(content));
    if (key !== undefined && value !== undefined) said.set(key, value);
  }
  const length = said.get("length");
  return {
    location: said.get("location") ?? "",
    offset: Number(said.get("offset") ?? 0),
    ...(length !== undefined && { length: Number(length) }),
  };
}

/** The fields of a protobuf message. Throws when it is none. */
function* fieldsOf(message: Uint8Array<ArrayBuffer>): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = message[at];
      if (byte === undefined) throw new Error("The file is cut short, or no ONNX file.");
      at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error("The file is no ONNX file.");
  };
  while (at < message.length) {
    const start = at;
    const tag = varint();
    const wire = tag & 7;
    let from = at;
    let value = 0;
    if (wire === 0) value = varint();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const length = varint();
      from = at;
      at += length;
    } else throw new Error("The file is no ONNX file.");
    if (at > message.length) throw new Error("The file is cut short, or no ONNX file.");
    const whole = message.subarray(start, at);
    yield { number: Math.floor(tag / 8), wire, whole, content: message.subarray(from, at), value };
  }
}

/** A field of wire type 2 with these pieces as its content. */
function lengthed(number: number, pieces: Piece[]): Piece[] {
  const size = pieces.reduce((sum, piece) => sum + (piece instanceof Blob ? piece.size : piece.length), 0);
  return [Uint8Array.from([...varintOf(number * 8 + 2), ...varintOf(size)]), ...pieces];
}

function varintOf(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  while (left >= 128) {
    bytes.push((left % 128) | 128);
    left = Math.floor(left / 128);
  }
  return [...bytes, left];
}
