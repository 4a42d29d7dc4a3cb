/** A line that is cut in every way there is, against a real server: what follows goes on from where it was. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { session } from "../src/api/client";
import { follow, type ServerEvent } from "../src/api/events";

type Turn = (answer: ServerResponse, request: IncomingMessage) => void;
const usual = globalThis.fetch;
const tokens = (name: string) => ({
  access_token: name,
  refresh_token: `refresh ${name}`,
  expires_in: 900,
  refresh_expires_in: 9000,
  token_type: "bearer" as const,
});
let server: Server;
let port = 0;
/** What the server does with one request after the other. */
let turns: Turn[];
/** What each request brought: where from, and as whom. */
let asked: (string | undefined)[][];

const listen = (at = 0) => new Promise<void>((resolve) => server.listen(at, "127.0.0.1", resolve));
beforeEach(async () => {
  turns = [];
  asked = [];
  server = createServer((request, answer) => {
    asked.push([request.url, request.headers["last-event-id"] as string | undefined, request.headers.authorization]);
    turns.shift()?.(answer, request);
  });
  await listen();
  port = (server.address() as AddressInfo).port;
  globalThis.fetch = (path, init) => usual(`http://127.0.0.1:${port}${path}`, init);
  session.begin(tokens("first"));
});
afterEach(() => {
  globalThis.fetch = usual;
  session.end();
  server.closeAllConnections();
  server.close();
});

const event = (mark: string, type = "jobs") => `retry: 1\n\nid: ${mark}\nevent: ${type}\ndata: {}\n\n`;
const says =
  (text: string, ends = false): Turn =>
  (answer) => {
    answer.writeHead(200, { "content-type": "text/event-stream" });
    if (ends) answer.end(text);
    else answer.write(text);
  };
/** Follows until the event "last"; what was heard, and whether the line stood, in order. */
async function followed(onEvent: (event: ServerEvent) => void = () => {}, silenceMs?: number): Promise<unknown[]> {
  const heard: unknown[] = [];
  const following = {
    onEvent: (event: ServerEvent) => {
      heard.push(event.type);
      onEvent(event);
    },
    onConnected: (connected: boolean) => heard.push(connected),
    isLast: (event: ServerEvent) => event.type === "last",
    ...(silenceMs && { silenceMs }),
  };
  await follow("/stream", following, new AbortController().signal);
  return heard;
}
const marks = () => asked.filter(([path]) => path === "/stream").map(([, mark]) => mark);

test("a line that falls silent, as after a computer's sleep, is given up and taken up again from the last mark", async () => {
  turns = [says(event("jobs=1")), says(event("jobs=2", "last"))];
  expect(await followed(undefined, 600)).toEqual([true, "jobs", false, true, "last"]);
  expect(marks()).toEqual(["0", "jobs=1"]);
});

test("a gateway that restarts is found again, and asked from the last mark on", async () => {
  turns = [says(event("jobs=1")), says(event("jobs=2", "last"))];
  const restart = () => {
    server.closeAllConnections();
    server.close(() => void listen(port));
  };
  expect((await followed((event) => event.type === "jobs" && restart())).at(-1)).toBe("last");
  expect(marks()).toEqual(["0", "jobs=1"]);
});

test("a token that ran out while the line stood is renewed before it is made again", async () => {
  const refuses: Turn = (answer) => answer.writeHead(401, { "content-type": "application/problem+json" }).end("{}");
  const renews: Turn = (answer) =>
    answer.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(tokens("second")));
  turns = [says(event("jobs=1"), true), refuses, renews, says(event("jobs=2", "last"))];
  expect((await followed()).at(-1)).toBe("last");
  expect(asked.map(([path, , credential]) => [path, credential])).toEqual([
    ["/stream", "Bearer first"],
    ["/stream", "Bearer first"],
    ["/api/v1/auth/refresh", undefined],
    ["/stream", "Bearer second"],
  ]);
});
