/** A table of which each column is an input of its own, as models of data frames take them. */
import { writeNpy } from "../tensors/npy";
import { numbersOf, readTable, type Table } from "../tensors/table";
import { type Given, nestedTexts, textShape } from "./counting";

/** Whether one column of a table suits each of these inputs. */
export function areColumns(all: readonly Given[]): boolean {
  const single = ({ kind, tensor }: Given) =>
    (kind === "tensor" || kind === "text") &&
    tensor.shape.length <= 2 &&
    (tensor.shape.length === 1 || tensor.shape[1] === 1) &&
    (kind === "tensor" || tensor.dtype === "string");
  return all.length > 1 && all.every(single);
}

const plain = (name: string) => name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");

/** A file for each input: by the names in the first row, or in the order of the inputs. Throws in words. */
export function columnsFor(text: string, all: readonly Given[]): Map<string, File> {
  const table = readTable(text);
  const rows = table.head ? [table.head, ...table.rows] : table.rows;
  const heads = (rows[0] ?? []).map(plain);
  const places = all.map(({ name }) => heads.indexOf(plain(name)));
  const named = places.some((place) => place >= 0);
  const missing = all.filter((_, input) => places[input] === -1).map(({ name }) => name);
  if (named && missing.length > 0) throw new Error(`The table has no column ${missing.join(", ")}.`);
  if (!named && heads.length !== all.length)
    throw new Error(`Name the columns in the first row: ${all.map(({ name }) => name).join(", ")}.`);
  const below: Table = named && !table.head ? { ...table, rows: rows.slice(1), lines: table.lines.slice(1) } : table;
  return new Map(all.map((one, input) => [one.name, columnFile(below, named ? (places[input] ?? 0) : input, one)]));
}

function columnFile(table: Table, column: number, { name, kind, tensor }: Given): File {
  const cells = table.rows.map((row) => [row[column] ?? ""]);
  if (kind === "text") {
    const texts = nestedTexts(cells.flat(), textShape(tensor));
    return new File([JSON.stringify(texts)], `${name}.json`);
  }
  try {
    const { dtype, shape, values } = numbersOf(
      { ...table, head: null, rows: cells },
      tensor.dtype,
      tensor.shape.slice(1),
    );
    return new File([writeNpy(dtype, shape, values)], `${name}.npy`);
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : error}`);
  }
}
