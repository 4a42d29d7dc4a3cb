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
/** The server says something every 15 s. A line that is silent for longer is dead, as after a computer's sleep, and nobody would say so. */
const SILENCE_MS_MAX = 40_000;
const LOOKS_PER_SILENCE = 8;

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
  /** After so long without a word the line is taken for dead; less than usual in tests only. */
  silenceMs?: number;
}

/** Follows a stream from `from` on until it ends, the signal aborts or the server says that there is no such thing. */
export async function follow(path: string, following: Following, signal: AbortSignal, from = "0"): Promise<void> {
  let lastId = from;
  let failures = 0;
  while (!signal.aborted) {
    const parser = new EventParser();
    const line = new AbortController();
    const watch = new Watch(following.silenceMs ?? SILENCE_MS_MAX, () => line.abort());
    try {
      const answer = await send(path, {
        signal: AbortSignal.any([signal, line.signal]),
        headers: { "Last-Event-ID": lastId, Accept: "text/event-stream" },
      });
      following.onConnected?.(true);
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
        failures = 0;
        watch.heard();
        for (const event of parser.push(piece.value)) {
          lastId = event.mark ?? (event.id ? String(event.id) : lastId);
          following.onEvent(event);
          if (following.isLast(event)) return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
    } finally {
      watch.end();
    }
    following.onConnected?.(false);
    failures += 1;
    await pause(Math.min(WAIT_MS_MAX, parser.retryMs * 1.5 ** (failures - 1)), signal);
  }
}

/** Calls `onSilence` once nothing was heard for so long; by the clock on the wall, which goes on while a computer sleeps. */
class Watch {
  private heardAt = Date.now();
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(silenceMs: number, onSilence: () => void) {
    this.timer = setInterval(() => {
      if (Date.now() - this.heardAt > silenceMs) onSilence();
    }, silenceMs / LOOKS_PER_SILENCE);
  }

  heard(): void {
    this.heardAt = Date.now();
  }

  end(): void {
    clearInterval(this.timer);
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
