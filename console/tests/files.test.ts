import { expect, test } from "vitest";
import { Problem } from "../src/api/problem";
import { placeOf } from "../src/jobs/boxes";
import { areColumns, columnsFor } from "../src/jobs/columns";
import { foundIn, type Given, type Kind, misfit, tooLarge } from "../src/jobs/counting";
import { gathered, withFiles, withTyped } from "../src/jobs/drafts";
import { mediaType } from "../src/jobs/media";
import { classesOf, scaleOf } from "../src/jobs/rasters";
import { retriedOf } from "../src/jobs/request";
import { csvOf, csvOfTexts } from "../src/jobs/table-file";
import { viewOf } from "../src/jobs/views";
import { cardOf, entryOf, formOf, scalesFor } from "../src/models/card";
import { EMPTY, guessOf, pictureForm, soundForm } from "../src/models/guess";
import { adviceFor } from "../src/models/refusals";
import { joined, weightsBeside } from "../src/models/weights";
import { numberToHalf, readNpy, readTexts, writeNpy } from "../src/tensors/npy";
import { numbersOf, readTable, textsOfTable } from "../src/tensors/table";
import { contentOf, membersOf, readerOf } from "../src/tensors/zip";

const given = (kind: Kind, dtype: string, ...shape: (number | null)[]): Given => ({
  name: "x",
  kind,
  tensor: { dtype, shape: [null, ...shape] },
});
const numbers = (text: string, dtype = "float32", ...item: (number | null)[]) =>
  numbersOf(readTable(text), dtype, item);

/** A zip of stored members, as archivers write it. */
function zip(...members: [string, string][]): File {
  const encoder = new TextEncoder();
  const bytes = (...fields: [number, 2 | 4][]) => {
    const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
    let at = 0;
    for (const [value, size] of fields) {
      if (size === 2) view.setUint16(at, value, true);
      else view.setUint32(at, value, true);
      at += size;
    }
    return new Uint8Array(view.buffer);
  };
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let at = 0;
  for (const [name, text] of members) {
    const [letters, content] = [encoder.encode(name), encoder.encode(text)];
    const sizes: [number, 2 | 4][] = [
      [content.length, 4],
      [content.length, 4],
      [letters.length, 2],
      [0, 2],
    ];
    const head = bytes([0x04034b50, 4], [20, 2], [0, 2], [0, 2], [0, 4], [0, 4], ...sizes);
    directory.push(
      bytes(
        [0x02014b50, 4],
        [20, 2],
        [20, 2],
        [0, 2],
        [0, 2],
        [0, 4],
        [0, 4],
        ...sizes,
        [0, 2],
        [0, 2],
        [0, 2],
        [0, 4],
        [at, 4],
      ),
      letters,
    );
    parts.push(head, letters, content);
    at += head.length + letters.length + content.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = bytes([0x06054b50, 4], [0, 4], [members.length, 2], [members.length, 2], [size, 4], [at, 4], [0, 2]);
  return new File([...parts, ...directory, end], "pictures.zip");
}

test("a zip is counted from its directory; folders and what archivers add are no items", async () => {
  const pictures = zip(["a/", ""], ["a/1.png", "one"], ["__MACOSX/a/._1.png", "x"], ["a/2.png", "two!"]);
  const members = await membersOf(pictures.size, readerOf(pictures));
  expect(members.map(({ name }) => name)).toEqual(["a/1.png", "a/2.png"]);
  const second = members[1];
  expect(second && new TextDecoder().decode(await contentOf(second, readerOf(pictures)))).toBe("two!");
  expect((await withFiles([pictures, new File(["x"], "3.png")], given("image", "float32", 3, 8, 8))).count).toBe(3);
});

test("a zip that holds something else, or is none, is told before it is sent", async () => {
  const strays = await withFiles([zip(["1.png", "x"], ["notes.txt", "x"])], given("image", "float32", 3, 8, 8));
  expect(strays.problem).toContain("notes.txt");
  const broken = await withFiles([new File(["no zip"], "broken.zip")], given("audio", "float32", null));
  expect(broken.problem).toBe("broken.zip is damaged, or no zip file.");
});

test("a table is read as people keep it: names above, quotes, semicolons, a spreadsheet's tabs", () => {
  const iris = numbers("sepal,petal\n5.1,3.5\n\n4.9,3\n", "float32", 2);
  expect([iris.shape, iris.values, iris.notes]).toEqual([
    [2, 2],
    [5.1, 3.5, 4.9, 3],
    ["The first row is taken as names."],
  ]);
  expect(numbers("1\t2\r\n3\t4", "float32", 2).values).toEqual([1, 2, 3, 4]);
  expect(numbers('"1","2"', "float32", 2).values).toEqual([1, 2]);
  expect(numbers("1 2\n3 4", "int64", null).shape).toEqual([2, 2]);
  expect(numbers("7\n8", "float32").shape).toEqual([2]);
  expect(numbers("1,2,3,4", "float32", 2, 2).shape).toEqual([1, 2, 2]);
  expect(readTable('a,"b, with ""quotes""\nand a line"\n1,2').head?.[1]).toBe('b, with "quotes"\nand a line');
});

test("decimal commas are read where they cannot be anything else, and named where they can", () => {
  const read = numbers("1,5;2,25", "float32", 2);
  expect([read.values, read.notes]).toEqual([[1.5, 2.25], ["Commas inside numbers are read as decimal points."]]);
  expect(() => numbers("1,5,2,5", "float32", 2)).toThrow("decimal commas");
});

test("columns that are words or count the rows are left out, and said so", () => {
  const read = numbers(",a,b,kind\n0,1,2,cat\n1,3,4,dog", "float32", 2);
  expect(read.values).toEqual([1, 2, 3, 4]);
  expect(read.notes.join(" ")).toContain("kind");
  expect(read.notes.join(" ")).toContain("has no name");
});

test("what no number can be read from is named by its place", () => {
  expect(() => numbers("1,2\n3", "float32", 2)).toThrow("Line 2 has 1 cell");
  expect(() => numbers("a,b\n1,2\n3,?", "float32", 2)).toThrow("Line 3, column 2 is no number");
  expect(() => numbers("1,", "float32", 2)).toThrow("column 2 is empty");
  expect(() => numbers("1,2,3", "float32", 2)).toThrow("Each row has 3 cells; an item of this input is 2 numbers.");
  expect(() => numbers("0.5", "int64")).toThrow("whole numbers");
  expect(() => numbers("300", "uint8")).toThrow("too large");
});

test("texts are one column of a table", () => {
  expect(textsOfTable("id,review\n1,good\n2,bad", "x").texts).toEqual(["good", "bad"]);
  expect(textsOfTable('"one, two"\nthree', "x").texts).toEqual(["one, two", "three"]);
  expect(() => textsOfTable("a,b\n1,2", "x")).toThrow("2 columns");
});

test("typed rows become a tensor; what JSON cannot say, or is too long for a body, goes as a file", async () => {
  const four = given("tensor", "float32", 4);
  const rows = withTyped("1,2,3,4\n5,6,7,8", four);
  expect(rows.tensor).toEqual({ datatype: "FP32", shape: [2, 4], data: [1, 2, 3, 4, 5, 6, 7, 8] });
  const missing = withTyped("1,nan,3,4", four);
  expect([missing.tensor, missing.count, missing.sent.length]).toEqual([null, 1, 1]);
  const long = withTyped("0.123456789,2,3,4\n".repeat(20_000), four);
  expect([long.tensor, long.count, long.sent.length]).toEqual([null, 20_000, 1]);
  expect(withTyped("[[1,2,3]]", four).problem).toBe("Its items are 3; this input takes 4.");
  expect(withTyped("good\nbad", given("text", "string", 1)).tensor).toMatchObject({
    shape: [2, 1],
    data: [["good"], ["bad"]],
  });
  const model = { inputs: { x: four.tensor }, card: {} } as unknown as Parameters<typeof gathered>[0];
  const inputs = await gathered(
    model,
    { x: missing },
    async (files) => files.map((file) => file.name),
    () => {},
  );
  expect(inputs).toEqual([{ name: "x", broadcast: false, files: ["x.npy"] }]);
});

test("a .csv file is sent as the array that it says, and pictures for numbers are known as such", async () => {
  const found = await foundIn(new File(["a,b\n1,2\n3,4"], "rows.csv"), given("tensor", "float32", 2));
  expect([found.items, found.sent.name]).toEqual([2, "rows.csv.npy"]);
  const array = readNpy(await found.sent.arrayBuffer());
  expect([array.dtype, array.shape, [...(array.values as Float32Array)]]).toEqual(["float32", [2, 2], [1, 2, 3, 4]]);
  const dropped = await withFiles([new File(["x"], "a.png")], given("tensor", "float32", 3, 8, 8));
  expect([dropped.media, dropped.count]).toEqual(["image", null]);
  expect(misfit([5, 3], given("tensor", "float32", null).tensor)).toBeNull();
});

test("one table fills several inputs, a column each", async () => {
  const [age, town] = [
    { ...given("tensor", "float32", 1), name: "age" },
    { ...given("text", "string", 1), name: "home_town" },
  ];
  expect([areColumns([age, town]), areColumns([age]), areColumns([age, given("tensor", "float32", 3)])]).toEqual([
    true,
    false,
    false,
  ]);
  const files = columnsFor("id,Home town,age\n7,Ulm,20\n8,Bonn,50", [age, town]);
  expect(await files.get("home_town")?.text()).toBe('[["Ulm"],["Bonn"]]');
  expect((await withFiles([files.get("age") as File], age)).count).toBe(2);
  expect(await columnsFor("20,Ulm", [age, town]).get("home_town")?.text()).toBe('[["Ulm"]]');
  expect(() => columnsFor("age,place\n20,Ulm", [age, town])).toThrow("no column home_town");
  expect(() => columnsFor("age,home town\nold,Ulm", [age, town])).toThrow("age: Line 2, column 1 is no number");
});

test("a refusal says what to do, by its reason", () => {
  const refused = (detail: string, reason: string) =>
    adviceFor(new Problem(422, "invalid_model", detail, null, null, { reason }));
  expect(refused("tensor 'B' lies in another file", "external_data")?.code).toContain("save_as_external_data=False");
  expect(refused("this model uses com.microsoft::Tokenizer", "custom_operator")?.code).toContain("pipeline[:-1]");
  expect(refused("this model uses com.example::Fancy", "custom_operator")?.words).toContain("ONNX standard");
  expect(refused("set options={'zipmap': False}", "unsupported")?.code).toContain("zipmap");
  expect([refused("…", "something new"), adviceFor(new Error("cut off"))]).toEqual([null, null]);
});

test("what is too large is told before it is sent", () => {
  const sizes = { file_bytes: 3, model_bytes: 9, zip_files: 9, zip_unpacked_bytes: 9, items_per_job: 2 };
  const [small, large] = [new File(["abc"], "a.npy"), new File(["abcd"], "b.npy")];
  expect(tooLarge([small], 2, sizes)).toBeNull();
  expect(tooLarge([small, large], 2, sizes)).toContain("b.npy has 4 B");
  expect(tooLarge([small], 3, sizes)).toContain("split them");
  expect(tooLarge([large], 3, undefined)).toBeNull();
});

test("arrays are written as NumPy writes them", async () => {
  const back = async (dtype: string, values: number[]) =>
    Array.from(
      readNpy(await writeNpy(dtype, [values.length], values).arrayBuffer()).values as ArrayLike<number>,
      Number,
    );
  expect(await back("int64", [-1, 2 ** 40])).toEqual([-1, 2 ** 40]);
  expect(await back("float16", [0.5, -2, 65_504, 2 ** -24])).toEqual([0.5, -2, 65_504, 2 ** -24]);
  expect(numberToHalf(Number.POSITIVE_INFINITY)).toBe(0x7c00);
  const blob = writeNpy("uint32", [4], [0x63, 0x61, 0, 0x62]);
  const text = new TextDecoder("latin1")
    .decode(await blob.arrayBuffer())
    .replace("'<u4'", "'<U2'")
    .replace("(4,)", "(2,)");
  expect(readTexts(Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer)?.texts).toEqual(["ca", "\0b"]);
});

const tensor = (dtype: string, ...shape: (number | null)[]) => ({ dtype, shape: [null, ...shape] });

test("an input is guessed from its type, shape and name", () => {
  const said = (name: string, of: ReturnType<typeof tensor>) => guessOf(name, of)?.codec ?? "numbers";
  expect(guessOf("x", tensor("float32", 3, 224, 224))).toMatchObject({
    layout: "nchw",
    height: "224",
    scale: "imagenet",
    color: "rgb",
  });
  expect(guessOf("x", tensor("uint8", 64, 48, 3))).toMatchObject({
    layout: "nhwc",
    height: "64",
    width: "48",
    scale: "bytes",
  });
  expect(guessOf("x", tensor("float32", 1, 28, 28))).toMatchObject({ color: "gray", scale: "unit" });
  expect(guessOf("x", tensor("float32", 3, null, null))).toMatchObject({ height: "224", width: "224" });
  expect([said("image", tensor("float32", 64)), said("x", tensor("float32", 64))]).toEqual(["image", "numbers"]);
  expect([said("x", tensor("float32", 16_000)), said("waveform", tensor("float32", null))]).toEqual(["audio", "audio"]);
  expect([said("x", tensor("float32", 4)), said("x", tensor("string")), said("x", tensor("float32", 10_007))]).toEqual([
    "numbers",
    "numbers",
    "numbers",
  ]);
  expect(soundForm(tensor("float32", 22_050))?.rate).toBe("22050");
  expect([pictureForm(tensor("float32", 4)), pictureForm(tensor("bool", 3, 8, 8))]).toEqual([null, null]);
  expect(guessOf("input_ids", tensor("int64", null), ["tokenizer.json"])?.codec).toBe("text");
  expect(guessOf("input_ids", tensor("int64", null))).toBeNull();
  const clip = guessOf("clip", tensor("float32", 3, 8, 64, 48));
  expect(clip && entryOf(clip)).toEqual({
    codec: "video",
    color: "rgb",
    layout: "cthw",
    frames: 8,
    resize: [64, 48],
    scale: 1 / 255,
  });
});

test("a card says what was chosen, and the form reads it back", () => {
  const form = { ...EMPTY, codec: "image" as const, height: "8", width: "8", scale: "signed" as const };
  expect(entryOf(form)).toMatchObject({ scale: 1 / 255, mean: 0.5, std: 0.5 });
  const model = (entry: Record<string, unknown>) =>
    ({ inputs: { x: tensor("float32", 3, 8, 8) }, card: { inputs: { x: entry } } }) as unknown as Parameters<
      typeof formOf
    >[0];
  expect(formOf(model(entryOf(form)), "x")).toMatchObject({ scale: "signed", height: "8" });
  const own = {
    codec: "image",
    color: "rgb",
    layout: "nchw",
    resize: [8, 8],
    scale: 1 / 255,
    mean: [0.1, 0.2, 0.3],
    std: null,
  };
  const read = formOf(model(own), "x");
  expect(read.scale).toBe("card");
  expect(cardOf("", { x: read }, {}, { inputs: { x: own } }).inputs).toEqual({ x: own });
  expect([scalesFor(form, "uint8"), scalesFor({ ...form, color: "gray" }, "float32").includes("imagenet")]).toEqual([
    ["bytes"],
    false,
  ]);
  const texts = cardOf(
    "",
    { input_ids: { ...EMPTY, codec: "text" } },
    {},
    { inputs: { attention_mask: { codec: "tensor" } } },
  );
  expect(texts.inputs).toEqual({ input_ids: { codec: "text" } });
});

test("outputs as large as the pictures that were given are pictures or maps of classes", () => {
  const output = (dtype: string, ...shape: number[]) => ({
    dtype,
    shape,
    values: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });
  const view = (of: ReturnType<typeof output>) => viewOf(of, null, [16, 12]);
  expect(view(output("float32", 2, 16, 12))).toBe("pictures");
  expect(view(output("float32", 2, 5, 16, 12))).toBe("segments");
  expect(view(output("int64", 2, 16, 12))).toBe("segments");
  expect([view(output("float32", 2, 12, 16)), view(output("bool", 2))]).toEqual(["numbers", "labels"]);
  const logits = { dtype: "float32", shape: [1, 2, 1, 2], values: new Float32Array([1, 0, 0, 3]) };
  expect([...classesOf(logits, 0)]).toEqual([0, 1]);
  expect([scaleOf([0, 1]), scaleOf([-1, 1]), scaleOf([0, 200]), scaleOf([0, 510])]).toEqual([
    [255, 0],
    [127.5, 127.5],
    [1, 0],
    [0.5, -0],
  ]);
});

test("boxes lie where the picture is that was resized and cut", () => {
  const frame = { width: 200, height: 100, left: 50, top: 0, inner: [100, 100] as const };
  expect(placeOf([0, 0, 100, 50], frame)).toEqual([25, 0, 50, 50]);
  expect(placeOf([0, 0, 1, 0.5], frame)).toEqual([25, 0, 50, 50]);
});

test("results go into a spreadsheet, and no cell is a formula", () => {
  const output = { dtype: "int64", shape: [2], values: new BigInt64Array([1n, 0n]) };
  expect(csvOf(output, "label", ["cat", "dog"], new Set())).toBe("item,label,class\r\n0,1,dog\r\n1,0,cat\r\n");
  const rows = { dtype: "float32", shape: [2, 2], values: new Float32Array([1, -2, 3, 4]) };
  expect(csvOf(rows, "y", null, new Set([1]))).toBe("item,y 0,y 1\r\n0,1,-2\r\n1,,\r\n");
  expect(csvOfTexts(['=1+"1"', "a,b"], "t")).toBe('item,t\r\n0,"\'=1+""1"""\r\n1,"a,b"\r\n');
});

test("bytes are known by their beginning, and a retry shows its own items", () => {
  const of = (text: string) => mediaType(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
  expect([of("RIFF1234WAVEfmt "), of("RIFF1234WEBPVP8 "), of("....ftypisom"), of("<svg")]).toEqual([
    "audio/wav",
    "image/webp",
    "video/mp4",
    null,
  ]);
  const job = { retried_items: [[1, 2]], progress: { items_total: 2 } } as unknown as Parameters<typeof retriedOf>[0];
  expect(retriedOf(job, ["a", "b", "c"])).toEqual(["b", "c"]);
});

/** A protobuf field of bytes. */
const field = (number: number, content: number[]) => [number * 8 + 2, content.length, ...content];
const letters = (text: string) => [...text].map((letter) => letter.charCodeAt(0));

test("weights that lie beside a model are put inside", async () => {
  const entry = (key: string, value: string) => field(13, [...field(1, letters(key)), ...field(2, letters(value))]);
  const outside = [...entry("location", "w.data"), ...entry("offset", "1"), ...entry("length", "2"), 14 * 8, 1];
  const model = (tensorFields: number[]) =>
    new File([Uint8Array.from([8, 8, ...field(7, field(5, [...field(8, letters("W")), ...tensorFields]))])], "m.onnx");
  expect(await weightsBeside(model(outside))).toEqual(["w.data"]);
  const whole = await joined(model(outside), [new File(["abcd"], "w.data")]);
  expect(new Uint8Array(await whole.arrayBuffer())).toEqual(
    new Uint8Array(await model(field(9, letters("bc"))).arrayBuffer()),
  );
  expect(await weightsBeside(model(field(9, letters("bc"))))).toEqual([]);
  await expect(joined(model(outside), [])).rejects.toThrow("drop that file together");
  await expect(joined(model(outside), [new File(["ab"], "w.data")])).rejects.toThrow("shorter");
});
