import { expect, test } from "vitest";
import { address, type Schemas } from "../src/api/client";
import { countedItems, draftOf, givenInputs, NOTHING, withFiles, withTyped } from "../src/jobs/drafts";
import { lanesOf, triesText } from "../src/jobs/gantt";
import { emptyLimits, workOf } from "../src/jobs/limits";
import { pictureType } from "../src/jobs/picture";
import { withNewest } from "../src/jobs/queries";
import { itemFiles, labelOf, templateOf } from "../src/jobs/request";
import { submitSnippets } from "../src/jobs/snippets";
import { cardOf, entryOf, formOf, inTheForm } from "../src/models/card";
import { nameOf } from "../src/models/drop-model";

const file = (name: string, text = "x") => new File([text], name);

test("paths are filled in and escaped, empty parameters left out", () => {
  expect(address("/api/v1/models/{reference}", { reference: "a/b:2" }, { limit: 5, cursor: null })).toBe(
    "/api/v1/models/a%2Fb%3A2?limit=5",
  );
});

test("each picture is one item, and pictures for numbers are refused", async () => {
  expect((await withFiles([file("a.png"), file("b.JPG")], "image")).count).toBe(2);
  expect((await withFiles([file("a.png")], "tensor")).problem).toContain("takes numbers");
  expect((await withFiles([file("a.png"), file("b.json", "[1]")], "image")).problem).toContain("not both");
  expect((await withFiles([file("b.json", "[[1],[2]]")], "tensor")).count).toBe(2);
  expect((await withFiles([file("b.npy", "nothing")], "tensor")).problem).toContain("no .npy file");
});

test("inputs must have the same number of items", () => {
  const three = withTyped("[[1],[2],[3]]", "tensor", { dtype: "float32", shape: [null, 1] });
  expect([countedItems([three, three]), countedItems([three, NOTHING]), countedItems([NOTHING])]).toEqual([
    3,
    null,
    null,
  ]);
});

test("limits become what the API takes, and nonsense is named", () => {
  const limits = { ...emptyLimits(null), budget: "1,50", deadlineMin: "2", regions: "eu, us", accelerators: ["cpu"] };
  expect(workOf(limits, "digits")).toEqual({
    body: {
      model: "digits",
      budget_usd: "1.50",
      deadline_s: 120,
      requirements: { accelerator: ["cpu"], region: ["eu", "us"] },
    },
    problems: [],
  });
  expect(workOf({ ...limits, budget: "0", memory: "much" }, "digits").problems).toEqual(["budget", "memory"]);
});

test("limits come back from the request of an earlier job", () => {
  const limits = {
    ...emptyLimits(null),
    budget: "1.50",
    deadlineMin: "2",
    regions: "eu",
    memory: "4",
    priority: "high" as const,
    ownMachines: true,
  };
  const request = { ...workOf(limits, "digits").body, inputs: [] };
  expect(emptyLimits(request as Schemas["JobIn"])).toEqual(limits);
});

const model = {
  description: "",
  inputs: { x: { dtype: "float32", shape: [null, 3, 224, 200] } },
  outputs: { y: { dtype: "float32", shape: [null, 2] } },
  card: { inputs: {}, outputs: {} },
};

test("a card is guessed from shapes and written as the fabric wants it", () => {
  const form = {
    ...formOf(model as unknown as Schemas["ModelOut"], "x"),
    codec: "image" as const,
    scale: "imagenet" as const,
  };
  expect([form.layout, form.height, form.width]).toEqual(["nchw", "224", "200"]);
  expect(entryOf(form)).toMatchObject({
    codec: "image",
    color: "rgb",
    resize: [224, 200],
    mean: [0.485, 0.456, 0.406],
  });
  expect(cardOf("d", { x: { ...form, codec: "tensor" } }, { y: "cat\ndog" })).toEqual({
    description: "d",
    inputs: { x: { codec: "tensor" } },
    outputs: { y: { labels: ["cat", "dog"] } },
  });
  expect(nameOf("My Model (v2).onnx")).toBe("my-model-v2");
});

test("a card that is edited keeps what the form does not show", () => {
  const model = {
    inputs: { x: { dtype: "float32", shape: [null, 3, 8, 8] }, ids: { dtype: "int64", shape: [null, null] } },
    card: {
      inputs: {
        x: { codec: "image", crop: [8, 8], resize: [10, 10], scale: 1 },
        ids: { codec: "text", max_length: 9 },
      },
      outputs: { y: { labels: ["a"], steps: [{ do: "top_k", k: 1 }] } },
    },
  } as unknown as Schemas["ModelOut"];
  expect([inTheForm(model, "x"), inTheForm(model, "ids")]).toEqual([true, false]);
  const form = { ...formOf(model, "x"), height: "", width: "" };
  expect(cardOf("new", { x: form }, { y: "b\nc" }, model.card)).toEqual({
    description: "new",
    inputs: {
      x: { codec: "image", crop: [8, 8], color: "rgb", layout: "nchw", scale: 1 },
      ids: { codec: "text", max_length: 9 },
    },
    outputs: { y: { labels: ["b", "c"], steps: [{ do: "top_k", k: 1 }] } },
  });
});

test("code to copy carries the limits", () => {
  const { python, curl, cli } = submitSnippets(
    "http://f",
    { ...workOf({ ...emptyLimits(null), budget: "2" }, "digits").body, inputs: [] } as Schemas["JobIn"],
    "image",
  );
  expect([
    python.includes('budget_usd="2"'),
    curl.includes('"budget_usd": "2"'),
    cli.includes("--budget-usd 2"),
  ]).toEqual([true, true, true]);
});

const span = (outcome: string, tries = 1) => ({
  outcome,
  tries,
  begins_at: "2026-01-01T00:00:01Z",
  ends_at: "2026-01-01T00:00:03Z",
  item_start: tries > 1 ? null : 0,
  item_end: tries > 1 ? null : 4,
  seconds: 1,
  gross: { usd: "0", usd_nanos: 0 },
});

test("each slot has a lane, each try a span on it, and what was merged still counts", () => {
  const timeline = {
    job_id: "job_x",
    begins_at: "2026-01-01T00:00:01Z",
    ends_at: "2026-01-01T00:00:03Z",
    tries: 9,
    lanes_total: 2,
    exact: false,
    lanes: [
      { provider_id: "prv_a", provider_name: "anna", slot: 0, tries: 8, spans: [span("done", 7), span("lost")] },
      { provider_id: "prv_b", provider_name: "bert", slot: 1, tries: 1, spans: [span("leased")] },
    ],
  } as Schemas["TimelineOut"];
  const lanes = lanesOf(timeline);
  expect(lanes.names).toEqual(["anna · 0", "bert · 1"]);
  expect(lanes.spans.map((one) => [one.lane, one.told.outcome])).toEqual([
    [0, "done"],
    [0, "lost"],
    [1, "leased"],
  ]);
  expect(lanes.to - lanes.from).toBe(2000);
  expect(triesText(timeline)).toBe("9 tries on 2 slots, 1 running now, 1 lost");
});

test("texts are counted by line, sounds by file, and what derives from another input is not asked for", async () => {
  const lines = withTyped("one\ntwo, with [brackets]\n", "text", { dtype: "int64", shape: [null, null] });
  expect(lines.count).toBe(2);
  expect(withTyped('["a", "b", "c"]', "text", { dtype: "string", shape: [null] }).count).toBe(3);
  expect(withTyped("[not json", "text", { dtype: "string", shape: [null] }).count).toBe(1);
  expect((await withFiles([file("a.txt", "x\ny\nz\n")], "text")).count).toBe(3);
  expect((await withFiles([file("a.wav"), file("b.mp3")], "audio")).count).toBe(2);
  expect((await withFiles([file("a.png")], "audio")).problem).toContain("sounds");
  const tensor = { dtype: "int64", shape: [null, null] };
  const model = {
    inputs: { ids: tensor, mask: tensor, raw: { dtype: "string", shape: [null] } },
    card: { inputs: { ids: { codec: "text" }, mask: { codec: "derived" }, raw: { codec: "tensor" } } },
  } as unknown as Schemas["ModelOut"];
  expect(givenInputs(model).map(({ name, kind }) => [name, kind])).toEqual([
    ["ids", "text"],
    ["raw", "text"],
  ]);
});

test("what a job had is kept whole, and only if it can be counted", () => {
  const input = { name: "x", file: "file_1", broadcast: true };
  expect(draftOf({ inputs: [input] }, "x", 7)).toMatchObject({ kept: input, count: 7 });
  expect([draftOf({ inputs: [input] }, "x", null), draftOf({ inputs: [input] }, "y", 7)]).toEqual([NOTHING, NOTHING]);
});

test("files belong to items, also to those that a retry did again; a template leaves the quote out", () => {
  const request = {
    inputs: [{ name: "x", files: ["a", "b", "c", "d"], broadcast: false }],
    quote: "quo_1",
    budget_usd: "1",
  };
  const job = (items: number, retried: number[][] | null) =>
    ({ progress: { items_total: items }, retried_items: retried }) as Schemas["JobOut"];
  expect(itemFiles(request, job(4, null), "x")).toEqual(["a", "b", "c", "d"]);
  expect(
    itemFiles(
      request,
      job(2, [
        [1, 1],
        [3, 1],
      ]),
      "x",
    ),
  ).toEqual(["b", "d"]);
  expect(itemFiles(request, job(9, null), "x")).toEqual([]);
  expect(templateOf(request, "nightly", false)).toEqual({ name: "nightly", budget_usd: "1" });
  expect(templateOf(request, "nightly", true)).toMatchObject({ inputs: request.inputs });
});

test("a picture is known by its first bytes, whatever its upload was called", () => {
  const bytes = (...first: number[]) => pictureType(Uint8Array.from(first));
  expect(bytes(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)).toBe("image/png");
  expect([bytes(0xff, 0xd8, 0xff, 0xe0), bytes(0x3c, 0x73, 0x76, 0x67), bytes()]).toEqual(["image/jpeg", null, null]);
});

test("labels are written as name:value", () => {
  expect(labelOf(" sweep : 7 ")).toEqual(["sweep", "7"]);
  expect(labelOf("url=http://x")).toEqual(["url", "http://x"]);
  expect([labelOf("nothing"), labelOf("a b:1")].map((one) => typeof one)).toEqual(["string", "string"]);
});

test("the newest page lies over the list, each job once and as it was told last", () => {
  const job = (id: string, status: string) => ({ id, status }) as Schemas["JobOut"];
  const older = [job("c", "running"), job("b", "running"), job("a", "failed")];
  const newest = [job("d", "queued"), job("c", "succeeded"), job("b", "running")];
  const listed = withNewest(older, { data: newest, next_cursor: "b" }, {});
  expect(listed.map((one) => `${one.id} ${one.status}`)).toEqual(["d queued", "c succeeded", "b running", "a failed"]);
});

test("a job that has moved on leaves a list of one state, and what the newest page no longer has is gone", () => {
  const job = (id: string, status: string) => ({ id, status }) as Schemas["JobOut"];
  const older = ["f", "e", "d", "c", "b", "a"].map((id) => job(id, id === "b" ? "running" : "queued"));
  const queued = { status: "queued" } as const;
  const shown = (newest?: Parameters<typeof withNewest>[1]) => withNewest(older, newest, queued).map((one) => one.id);
  expect(shown()).toEqual(["f", "e", "d", "c", "a"]); // "b" was told to run
  expect(shown({ data: [job("f", "queued"), job("d", "queued")], next_cursor: "d" })).toEqual(["f", "d", "c", "a"]);
  expect(shown({ data: [job("c", "queued")], next_cursor: null })).toEqual(["c"]);
  expect(shown({ data: [job("c", "running")], next_cursor: null })).toEqual([]);
});

test("a label that was taken off takes the job off the list of that label", () => {
  const job = (id: string, labels: Record<string, string>) => ({ id, status: "failed", labels }) as Schemas["JobOut"];
  const listed = [job("c", { url: "http://x" }), job("b", {}), job("a", { url: "http" })];
  expect(withNewest(listed, undefined, { label: "url:http://x" }).map((one) => one.id)).toEqual(["c"]);
});
