/** Results as a table that a spreadsheet opens. */
import { itemSize, type Tensor } from "../tensors/npy";

const COLUMNS_MAX = 5000;

/** A line for each item; null for what is no table. `named`: what whole numbers mean. */
export function csvOf(
  tensor: Tensor,
  name: string,
  labels: readonly string[] | null,
  failed: ReadonlySet<number>,
): string | null {
  const size = itemSize(tensor);
  if (tensor.shape.length > 2 || size > COLUMNS_MAX || size === 0) return null;
  const named = labels?.length === size && size > 1;
  const heads = Array.from({ length: size }, (_, column) =>
    size === 1 ? name : named ? (labels?.[column] ?? "") : `${name} ${column}`,
  );
  const meaning = size === 1 && labels && /^u?int/.test(tensor.dtype);
  const lines = Array.from({ length: tensor.shape[0] ?? 0 }, (_, item) => {
    if (failed.has(item)) return [String(item), ...heads.map(() => "")];
    const values = Array.from(
      tensor.values.slice(item * size, (item + 1) * size) as ArrayLike<number | bigint>,
      String,
    );
    return [String(item), ...values, ...(meaning ? [labels[Number(values[0])] ?? ""] : [])];
  });
  return csv([["item", ...heads, ...(meaning ? ["class"] : [])], ...lines]);
}

export function csvOfTexts(texts: readonly string[], name: string): string {
  return csv([["item", name], ...texts.map((text, item) => [String(item), text])]);
}

function csv(rows: readonly string[][]): string {
  return `${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** A cell that begins like a formula gets an apostrophe: spreadsheets would run it. */
function cell(text: string): string {
  const safe = /^[=@\t\r]|^[+-](?![\d.]|inf|nan)/i.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
