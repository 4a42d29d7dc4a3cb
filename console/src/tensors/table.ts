/** Tables as people keep and paste them (CSV, semicolons, a piece of a spreadsheet), and what of them an input takes. */

export interface Table {
  separator: "," | ";" | "\t" | " ";
  head: string[] | null;
  rows: string[][];
  /** The line of the text on which each row begins, from 1. */
  lines: number[];
}
/** Numbers row by row; `notes` says in words what was made of the table. */
export interface Numbers {
  dtype: string;
  shape: number[];
  values: number[];
  notes: string[];
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const WITH_COMMA = /^[+-]?\d+,\d+(e[+-]?\d+)?$/i;
const WORDS = new Map([
  ["true", 1],
  ["false", 0],
  ["nan", Number.NaN],
  ["inf", Number.POSITIVE_INFINITY],
  ["-inf", Number.NEGATIVE_INFINITY],
]);
const LARGEST: Record<string, [number, number]> = {
  bool: [0, 1],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32_768, 32_767],
  uint16: [0, 65_535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint64: [0, Number.MAX_SAFE_INTEGER],
};

/** Cells of a text; a first row of names is taken off when numbers stand below it. Throws in words. */
export function readTable(text: string): Table {
  const plain = text.replace(/^\uFEFF/, "");
  const separator = separatorOf(plain.slice(0, 100_000));
  const { rows, lines } = cellsOf(plain, separator);
  const [first, second] = rows;
  if (!first) throw new Error("There are no rows.");
  const uneven = rows.findIndex((row) => row.length !== first.length);
  if (uneven >= 0)
    throw new Error(
      `Line ${lines[uneven]} has ${cellsText(rows[uneven]?.length ?? 0)}, the first has ${first.length}.`,
    );
  const named = second?.some((cell, column) => isNumber(cell, separator) && !isNumber(first[column] ?? "", separator));
  return {
    separator,
    head: named ? first : null,
    rows: named ? rows.slice(1) : rows,
    lines: named ? lines.slice(1) : lines,
  };
}

/** The numbers of a table, for items of `itemShape`; columns that hold words or count the rows are left out. Throws in words. */
export function numbersOf(table: Table, dtype: string, itemShape: readonly (number | null)[]): Numbers {
  const open = itemShape.some((axis) => axis === null);
  const wanted = open ? null : itemShape.reduce<number>((product, axis) => product * (axis ?? 1), 1);
  if (open && itemShape.length > 1) throw new Error("A table cannot say the size of such items; give a .npy file.");
  if (table.rows.length === 0) throw new Error("There is only a row of names; give rows of numbers below it.");
  const { columns, notes } = columnsOf(table, wanted);
  if (wanted !== null && columns.length !== wanted) throw new Error(tooMany(table, wanted));
  const commas = table.rows.some((row) => columns.some((column) => hasComma(row[column] ?? "", table.separator)));
  const values = table.rows.flatMap((row, place) =>
    columns.map((column) =>
      cellValue(row[column] ?? "", table, dtype, `Line ${table.lines[place]}, column ${column + 1}`),
    ),
  );
  const told = [
    ...(table.head ? ["The first row is taken as names."] : []),
    ...notes,
    ...(commas ? ["Commas inside numbers are read as decimal points."] : []),
  ];
  const inner = open ? [columns.length] : itemShape.map((axis) => axis ?? 1);
  return { dtype, shape: [table.rows.length, ...inner], values, notes: told };
}

const NAMES_OF_TEXTS = /^(texts?|sentences?|reviews?|comments?|content|messages?|body|input|prompts?|questions?)$/i;

/** The column of texts in a table, and what was made of the others. Throws in words. */
export function textsOfTable(text: string, input: string): { texts: string[]; notes: string[] } {
  const { rows } = cellsOf(text.replace(/^\uFEFF/, ""), separatorOf(text.slice(0, 100_000)));
  const [first] = rows;
  if (!first) throw new Error("There are no rows.");
  const named = first.findIndex((cell) => cell.trim() === input || NAMES_OF_TEXTS.test(cell.trim()));
  if (named < 0 && first.length > 1)
    throw new Error(`This table has ${first.length} columns. Name the one that holds the texts “${input}” or “text”.`);
  const column = Math.max(named, 0);
  const texts = (named < 0 ? rows : rows.slice(1)).map((row) => row[column] ?? "");
  const notes = named < 0 ? [] : [`The column “${first[column]}” is taken.`];
  return { texts, notes };
}

function separatorOf(text: string): Table["separator"] {
  const line = text.split(/\r?\n/).find((one) => one.trim() !== "") ?? "";
  for (const separator of ["\t", ";", ","] as const) if (line.includes(separator)) return separator;
  return /\S +\S/.test(line) &&
    line
      .trim()
      .split(/ +/)
      .every((cell) => NUMBER.test(cell))
    ? " "
    : ",";
}

/** Cells with quotes undone; blank lines are no rows. */
function cellsOf(text: string, separator: Table["separator"]): { rows: string[][]; lines: number[] } {
  const rows: string[][] = [];
  const lines: number[] = [];
  if (separator === " ") {
    for (const [place, line] of text.split(/\r?\n/).entries()) {
      if (line.trim() === "") continue;
      rows.push(line.trim().split(/ +/));
      lines.push(place + 1);
    }
    return { rows, lines };
  }
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  let line = 1;
  let began = 1;
  const endRow = () => {
    row.push(cell.trim());
    if (row.some((one) => one !== "")) {
      rows.push(row);
      lines.push(began);
    }
    row = [];
    cell = "";
  };
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === "\n") line += 1;
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quoted = false;
    } else if (letter === '"' && cell.trim() === "") {
      quoted = true;
      cell = "";
    } else if (letter === separator) {
      row.push(cell.trim());
      cell = "";
    } else if (letter === "\n") {
      endRow();
      began = line;
    } else if (letter !== "\r") cell += letter;
  }
  endRow();
  return { rows, lines };
}

function columnsOf(table: Table, wanted: number | null): { columns: number[]; notes: string[] } {
  const width = table.rows[0]?.length ?? 0;
  const all = Array.from({ length: width }, (_, column) => column);
  const notes: string[] = [];
  if (wanted === null || width <= wanted) return { columns: all, notes };
  const nameOf = (column: number) => table.head?.[column] || `${column + 1}`;
  const holdsWords = (column: number) =>
    table.rows.every((row) => row[column] !== "" && !isNumber(row[column] ?? "", table.separator));
  const words = all.filter(holdsWords);
  let columns = all.filter((column) => !words.includes(column));
  // What a data frame writes before its columns: the numbers of the rows, without a name.
  const unnamed = table.head?.[0] === "" && table.rows.every((row) => /^\d+$/.test(row[0] ?? ""));
  if (unnamed && columns.length > wanted) {
    columns = columns.filter((column) => column !== 0);
    notes.push("The first column has no name and is left out.");
  }
  if (columns.length !== wanted) return { columns: all, notes: [] };
  if (words.length > 0) notes.push(`Left out, since it holds words: ${words.map(nameOf).join(", ")}.`);
  return { columns, notes };
}

function tooMany(table: Table, wanted: number): string {
  const width = table.rows[0]?.length ?? 0;
  const said = `Each row has ${cellsText(width)}; an item of this input is ${wanted === 1 ? "one number" : `${wanted} numbers`}.`;
  return table.separator === "," && width === 2 * wanted
    ? `${said} If these are decimal commas, write points, or put semicolons or tabs between the numbers.`
    : said;
}

function cellValue(cell: string, table: Table, dtype: string, where: string): number {
  if (cell === "") throw new Error(`${where} is empty. Write nan if the model takes missing values.`);
  const value = numberIn(cell, table.separator);
  if (value === null) throw new Error(`${where} is no number: ${cell.slice(0, 40)}`);
  const range = LARGEST[dtype];
  if (range && !Number.isInteger(value))
    throw new Error(`${where} is ${cell}; this input takes whole numbers (${dtype}).`);
  if (range && (value < range[0] || value > range[1])) throw new Error(`${where} is ${cell}, too large for ${dtype}.`);
  return value;
}

function numberIn(cell: string, separator: Table["separator"]): number | null {
  if (NUMBER.test(cell)) return Number(cell);
  if (hasComma(cell, separator)) return Number(cell.replace(",", "."));
  return WORDS.get(cell.toLowerCase()) ?? null;
}

const hasComma = (cell: string, separator: Table["separator"]) => separator !== "," && WITH_COMMA.test(cell);
const isNumber = (cell: string, separator: Table["separator"]) => numberIn(cell, separator) !== null;
const cellsText = (count: number) => `${count} ${count === 1 ? "cell" : "cells"}`;
