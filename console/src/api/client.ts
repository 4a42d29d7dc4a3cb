/** Calls to the API: paths, parameters and bodies are checked against its OpenAPI document when the console is built. */
import { Problem } from "./problem";
import type { components, paths } from "./schema";
import { Session, sessionKey } from "./session";

export type Schemas = components["schemas"];
type Method = "get" | "post" | "put" | "patch" | "delete";
type PathsWith<M extends Method> = {
  [P in keyof paths]: paths[P][M] extends { responses: unknown } ? P : never;
}[keyof paths];
type Operation<P extends keyof paths, M extends Method> = paths[P][M];
type Json<T> = T extends { content: { "application/json": infer Body } } ? Body : undefined;
type Answer<O> = O extends { responses: infer R }
  ? Json<R extends { 200: infer A } ? A : R extends { 201: infer B } ? B : R extends { 204: infer C } ? C : never>
  : never;
type BodyOf<O> = O extends { requestBody: { content: { "application/json": infer B } } } ? B : never;
type Query<O> = O extends { parameters: { query?: infer Q } } ? Q : never;
type PathParams<O> = O extends { parameters: { path: infer P } } ? P : never;

export interface Options<O> {
  path?: PathParams<O>;
  query?: Query<O>;
  body?: BodyOf<O>;
  idempotencyKey?: string;
  signal?: AbortSignal | undefined;
}

const shared = typeof navigator !== "undefined" && "locks" in navigator;

export const session = new Session(
  shared ? localStorage : sessionStorage,
  shared ? navigator.locks : undefined,
  async (refreshToken) => {
    const answer = await fetch("/api/v1/auth/refresh", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refresh_token: refreshToken }),
    });
    if (answer.ok) return (await answer.json()) as Schemas["TokensOut"];
    if (answer.status === 401 || answer.status === 422) return null;
    throw await Problem.of(answer);
  },
);

if (shared) {
  addEventListener("storage", (event) => {
    const signedInOrOut = (event.oldValue === null) !== (event.newValue === null);
    if (event.key === sessionKey && signedInOrOut) session.changedElsewhere();
  });
}

/** A request with the credential of whoever is signed in; refreshed once when it is refused. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const token = await session.token();
  let answer = await fetch(path, authorised(init, token));
  if (answer.status === 401 && token) {
    const fresh = await session.renew(token);
    if (fresh) answer = await fetch(path, authorised(init, fresh));
  }
  if (!answer.ok) throw await Problem.of(answer);
  return answer;
}

function authorised(init: RequestInit, token: string | null): RequestInit {
  const headers = new Headers(init.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  return { ...init, headers };
}

async function call<P extends keyof paths, M extends Method>(
  method: M,
  template: P,
  options: Options<Operation<P, M>> = {},
): Promise<Answer<Operation<P, M>>> {
  const headers = new Headers();
  if (options.body !== undefined) headers.set("Content-Type", "application/json");
  if (method === "post") headers.set("Idempotency-Key", options.idempotencyKey ?? randomKey());
  const answer = await send(address(template as string, options.path, options.query), {
    method: method.toUpperCase(),
    headers,
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    ...(options.signal && { signal: options.signal }),
  });
  if (answer.status === 204) return undefined as Answer<Operation<P, M>>;
  return (await answer.json()) as Answer<Operation<P, M>>;
}

/** The path of a request: names filled in and escaped, empty parameters left out. */
export function address(template: string, path?: unknown, query?: unknown): string {
  const names = (path ?? {}) as Record<string, unknown>;
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(names[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries((query ?? {}) as Record<string, unknown>)) {
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${filled}?${text}` : filled;
}

/** A key that no other request has; also where the page is not in a secure context and `randomUUID` is missing. */
export function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const api = {
  get: <P extends PathsWith<"get">>(path: P, options?: Options<Operation<P, "get">>) => call("get", path, options),
  post: <P extends PathsWith<"post">>(path: P, options?: Options<Operation<P, "post">>) => call("post", path, options),
  put: <P extends PathsWith<"put">>(path: P, options?: Options<Operation<P, "put">>) => call("put", path, options),
  patch: <P extends PathsWith<"patch">>(path: P, options?: Options<Operation<P, "patch">>) =>
    call("patch", path, options),
  delete: <P extends PathsWith<"delete">>(path: P, options?: Options<Operation<P, "delete">>) =>
    call("delete", path, options),
};

/** Multipart bodies, with the share that has been sent (0 … 1); fetch cannot tell that yet, XMLHttpRequest can. */
export async function upload<T>(
  path: string,
  form: FormData,
  onSent: (share: number) => void = () => {},
  signal?: AbortSignal,
): Promise<T> {
  const token = await session.token();
  signal?.throwIfAborted();
  return new Promise<T>((resolve, reject) => {
    const request = new XMLHttpRequest();
    signal?.addEventListener("abort", () => request.abort());
    request.onabort = () => reject(signal?.reason ?? new Error("The upload was stopped."));
    request.open("POST", path);
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.setRequestHeader("Idempotency-Key", randomKey());
    request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
    request.onerror = () => reject(new TypeError("The upload was cut off."));
    request.onload = () => {
      const id = request.getResponseHeader("x-request-id");
      const answer = new Response(request.responseText, {
        status: request.status,
        headers: id ? { "x-request-id": id } : {},
      });
      if (answer.ok) resolve(answer.json() as Promise<T>);
      else Problem.of(answer).then(reject, reject);
    };
    request.send(form);
  });
}
