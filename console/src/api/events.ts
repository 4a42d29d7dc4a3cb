/** Server-sent events over fetch, which unlike EventSource can send a credential; resumes where it was cut off. */
import { send } from "./client";
import { Problem } from "./problem";

export interface ServerEvent {
  id: number;
  /** The id as it was sent, where it is no number: to go on from there. */
  mark?: string;
  type: string;
  data: Record<string, unknown>;
}

const WAIT_MS_MAX = 15_000;

/** Cuts a stream of text into events; what is not complete stays for the next piece. */
export class EventParser {
  private rest = "";
  retryMs = 2000;

  push(piece: string): ServerEvent[] {
    const blocks = (this.rest + piece.replaceAll("\r\n", "\n")).split("\n\n");
    this.rest = blocks.pop() ?? "";
    return blocks.map((block) => this.parse(block)).filter((event) => event !== null);
  }

  private parse(block: string): ServerEvent | null {
    let id = 0;
    let mark = "";
    let type = "message";
    const data: string[] = [];
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "id") {
        mark = value;
        id = Number(value) || 0;
      } else if (field === "event") type = value;
      else if (field === "data") data.push(value);
      else if (field === "retry") this.retryMs = Number(value) || this.retryMs;
    }
    if (!data.length) return null;
    return { id, type, data: JSON.parse(data.join("\n")), ...(mark && id === 0 && { mark }) };
  }
}

export interface Following {
  onEvent(event: ServerEvent): void;
  /** Whether the stream stands at the moment. */
  onConnected?(connected: boolean): void;
  /** After this event nothing comes; the server closes and we stay away. */
  isLast(event: ServerEvent): boolean;
}

/** Follows a stream until it ends, the signal aborts or the server says that there is no such thing. */
export async function follow(path: string, following: Following, signal: AbortSignal): Promise<void> {
  let lastId = "0";
  let failures = 0;
  while (!signal.aborted) {
    const parser = new EventParser();
    try {
      const answer = await send(path, {
        signal,
        headers: { "Last-Event-ID": lastId, Accept: "text/event-stream" },
      });
      following.onConnected?.(true);
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
        failures = 0;
        for (const event of parser.push(piece.value)) {
          lastId = event.mark ?? (event.id ? String(event.id) : lastId);
          following.onEvent(event);
          if (following.isLast(event)) return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
    }
    following.onConnected?.(false);
    failures += 1;
    await pause(Math.min(WAIT_MS_MAX, parser.retryMs * 1.5 ** (failures - 1)), signal);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const stop = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}
