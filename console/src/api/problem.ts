/** What the API says when something did not work, as an error to throw. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | null;
  readonly retryAfterS: number | null;
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: string,
    detail: string,
    requestId: string | null,
    retryAfterS: number | null = null,
    fields: Readonly<Record<string, unknown>> = {},
  ) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    this.requestId = requestId;
    this.retryAfterS = retryAfterS;
    this.fields = fields;
  }

  static async of(answer: Response): Promise<Problem> {
    const requestId = answer.headers.get("x-request-id")?.split(",")[0] ?? null; // proxies may say it again
    const wait = Number(answer.headers.get("retry-after"));
    const retryAfterS = Number.isFinite(wait) && wait > 0 ? wait : null;
    try {
      const body = (await answer.json()) as Record<string, unknown>;
      if (typeof body.detail === "string" && typeof body.code === "string") {
        return new Problem(
          answer.status,
          body.code,
          body.detail,
          String(body.request_id ?? requestId),
          retryAfterS,
          body,
        );
      }
    } catch {
      // Not a problem document: whatever stands before the Gateway answered.
    }
    return new Problem(answer.status, "unexpected", `The fabric answered ${answer.status}.`, requestId, retryAfterS);
  }
}

/** One sentence for people. */
export function inWords(error: unknown): string {
  if (error instanceof Problem) {
    return error.retryAfterS && error.status === 429
      ? `${error.message} Try again in ${error.retryAfterS} s.`
      : error.message;
  }
  if (error instanceof TypeError) return "The fabric cannot be reached. Is it running, and are you online?";
  return error instanceof Error ? error.message : String(error);
}

export function requestIdOf(error: unknown): string | null {
  return error instanceof Problem ? error.requestId : null;
}
