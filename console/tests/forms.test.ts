import { expect, test } from "vitest";
import { address, type Schemas } from "../src/api/client";
import { countedItems, emptyDraft, withFiles, withJson } from "../src/jobs/drafts";
import { lanesOf } from "../src/jobs/gantt";
import { emptyLimits, workOf } from "../src/jobs/limits";
import { submitSnippets } from "../src/jobs/snippets";
import { cardOf, entryOf, formOf } from "../src/models/card";
import { nameOf } from "../src/models/drop-model";
import { sorted } from "../src/pages/marketplace";

const blank = emptyDraft(null, "x");
const file = (name: string, text = "x") => new File([text], name);

test("paths are filled in and escaped, empty parameters left out", () => {
  expect(address("/api/v1/models/{reference}", { reference: "a/b:2" }, { limit: 5, cursor: null })).toBe(
    "/api/v1/models/a%2Fb%3A2?limit=5",
  );
});

test("each picture is one item, and pictures for numbers are refused", async () => {
  expect((await withFiles(blank, [file("a.png"), file("b.JPG")], true)).count).toBe(2);
  expect((await withFiles(blank, [file("a.png")], false)).problem).toContain("takes numbers");
  expect((await withFiles(blank, [file("a.png"), file("b.json", "[1]")], true)).problem).toContain("not both");
  expect((await withFiles(blank, [file("b.json", "[[1],[2]]")], false)).count).toBe(2);
  expect((await withFiles(blank, [file("b.npy", "nothing")], false)).problem).toContain("no .npy file");
});

test("inputs must have the same number of items", () => {
  const three = withJson(blank, "[[1],[2],[3]]", { dtype: "float32", shape: [null, 1] });
  expect([countedItems([three, three]), countedItems([three, blank]), countedItems([blank])]).toEqual([3, null, null]);
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

test("code to copy carries the limits", () => {
  const { python, curl, cli } = submitSnippets(
    "http://f",
    { ...workOf({ ...emptyLimits(null), budget: "2" }, "digits").body, inputs: [] } as Schemas["JobIn"],
    "images",
  );
  expect([
    python.includes('budget_usd="2"'),
    curl.includes('"budget_usd": "2"'),
    cli.includes("--budget-usd 2"),
  ]).toEqual([true, true, true]);
});

test("each slot has a lane, each try a span on it", () => {
  const tried = (provider_id: string, slot: number, outcome: string) => ({
    provider_id,
    slot,
    outcome,
    leased_at: "2026-01-01T00:00:01Z",
    finished_at: "2026-01-01T00:00:03Z",
    seconds: 1,
  });
  const parts = [
    { attempts: [tried("prv_b", 0, "lost"), tried("prv_a", 1, "done")] },
    { attempts: [tried("prv_a", 0, "done")] },
  ];
  const lanes = lanesOf(
    parts as unknown as Schemas["SubtaskOut"][],
    new Map([
      ["prv_a", "anna"],
      ["prv_b", "bert"],
    ]),
    Date.parse("2026-01-01T00:01:00Z"),
  );
  expect(lanes.names).toEqual(["anna · 0", "anna · 1", "bert · 0"]);
  expect(lanes.spans.map((span) => [lanes.names[span.lane], span.outcome])).toEqual([
    ["bert · 0", "lost"],
    ["anna · 1", "done"],
    ["anna · 0", "done"],
  ]);
  expect(lanes.to - lanes.from).toBe(2000);
});

test("the best deal is the least money for the same speed", () => {
  const offer = (provider_name: string, nanos: number, speed: number) => ({
    provider_name,
    speed,
    memory_gib: 1,
    price_per_hour: { usd_nanos: nanos, usd: "" },
  });
  const offers = [offer("dear", 90, 3), offer("slow", 20, 0.5), offer("good", 50, 4)] as Schemas["OfferOut"][];
  expect(sorted(offers, "deal").map((one) => one.provider_name)).toEqual(["good", "dear", "slow"]);
  expect(sorted(offers, "price").map((one) => one.provider_name)).toEqual(["slow", "good", "dear"]);
});
