/** Who ran which part, when: a lane for each slot, a bar for each try. Drawn on a canvas, so that thousands are no burden. */
import { useEffect, useMemo, useRef, useState } from "react";
import type { Schemas } from "../api/client";
import { plural, secondsText } from "../ui/amounts";

type Subtask = Schemas["SubtaskOut"];
export interface Span {
  lane: number;
  from: number;
  to: number;
  outcome: string;
  subtask: Subtask;
  seconds: number;
}
export interface Lanes {
  names: string[];
  spans: Span[];
  from: number;
  to: number;
}

const LANE_PX = 26;
const NAMES_PX = 118;
const AXIS_PX = 22;
const COLORS: Record<string, string> = {
  done: "--accent",
  failed: "--bad",
  lost: "--warn",
  cancelled: "--line-strong",
  leased: "--accent",
};

/** Lanes and spans of these subtasks; milliseconds. Names come from the bill, where machines have one. */
export function lanesOf(subtasks: readonly Subtask[], names: ReadonlyMap<string, string>, now: number): Lanes {
  const lanes = new Map<string, number>();
  const lane = (provider: string, slot: number) => {
    const name = `${names.get(provider) ?? provider.slice(0, 10)} · ${slot}`;
    if (!lanes.has(name)) lanes.set(name, lanes.size);
    return lanes.get(name) ?? 0;
  };
  const spans: Span[] = [];
  for (const subtask of subtasks) {
    for (const tried of subtask.attempts) {
      spans.push({
        lane: lane(tried.provider_id, tried.slot),
        from: Date.parse(tried.leased_at),
        to: Date.parse(tried.finished_at),
        outcome: tried.outcome,
        subtask,
        seconds: tried.seconds,
      });
    }
  }
  const from = spans.reduce((least, span) => Math.min(least, span.from), now);
  const to = spans.reduce((most, span) => Math.max(most, span.to), from);
  const order = [...lanes.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const place = new Map(order.map((name, index) => [lanes.get(name) ?? 0, index]));
  return { names: order, spans: spans.map((span) => ({ ...span, lane: place.get(span.lane) ?? 0 })), from, to };
}

export function Gantt({ subtasks, names }: { subtasks: readonly Subtask[]; names: ReadonlyMap<string, string> }) {
  const lanes = useMemo(() => lanesOf(subtasks, names, Date.now()), [subtasks, names]);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [over, setOver] = useState<Span | null>(null);
  const height = lanes.names.length * LANE_PX + AXIS_PX;
  const length = Math.max(1, lanes.to - lanes.from);
  const x = (moment: number) => NAMES_PX + ((moment - lanes.from) / length) * Math.max(1, width - NAMES_PX - 8);

  useEffect(() => {
    const node = canvas.current;
    if (!node) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width));
    observer.observe(node);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const node = canvas.current;
    const pen = node?.getContext("2d");
    if (!node || !pen || width === 0) return;
    const draw = () => {
      const ratio = devicePixelRatio || 1;
      node.width = width * ratio;
      node.height = height * ratio;
      pen.scale(ratio, ratio);
      pen.font = `12px ${getComputedStyle(node).fontFamily}`;
      const ink = colors(node);
      lanes.names.forEach((name, index) => {
        const y = index * LANE_PX;
        pen.fillStyle = ink("--sunk");
        pen.fillRect(NAMES_PX, y + 3, width - NAMES_PX, LANE_PX - 6);
        pen.fillStyle = ink("--soft");
        pen.fillText(name, 0, y + 17, NAMES_PX - 10);
      });
      for (const span of lanes.spans) {
        pen.fillStyle = ink(COLORS[span.outcome] ?? "--soft");
        pen.globalAlpha = span === over ? 1 : 0.78;
        pen.fillRect(x(span.from), span.lane * LANE_PX + 5, Math.max(1.5, x(span.to) - x(span.from) - 1), LANE_PX - 10);
      }
      pen.globalAlpha = 1;
      pen.fillStyle = ink("--soft");
      pen.fillText("0", NAMES_PX, height - 6);
      const end = secondsText(length / 1000);
      pen.fillText(end, width - pen.measureText(end).width - 2, height - 6);
    };
    draw();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    const themed = new MutationObserver(draw);
    themed.observe(document.documentElement, { attributes: true });
    return () => {
      scheme.removeEventListener("change", draw);
      themed.disconnect();
    };
  });

  const find = (event: React.PointerEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    const lane = Math.floor((event.clientY - box.top) / LANE_PX);
    const at = event.clientX - box.left;
    setOver(
      lanes.spans.findLast((span) => span.lane === lane && at >= x(span.from) - 2 && at <= x(span.to) + 2) ?? null,
    );
  };

  const tries = { lost: 0, failed: 0 };
  for (const span of lanes.spans) if (span.outcome === "lost" || span.outcome === "failed") tries[span.outcome] += 1;
  const words = `${plural(lanes.spans.length, "try", "tries")} on ${plural(lanes.names.length, "slot")} within ${secondsText(length / 1000)}${tries.lost ? `, ${tries.lost} lost` : ""}${tries.failed ? `, ${tries.failed} failed` : ""}`;
  return (
    <figure className="stack tight">
      <canvas
        ref={canvas}
        className="gantt"
        style={{ height }}
        role="img"
        aria-label={`Timeline: ${words}`}
        onPointerMove={find}
        onPointerLeave={() => setOver(null)}
      />
      <figcaption className="small soft">
        {over
          ? `Items ${over.subtask.item_start} to ${over.subtask.item_start + over.subtask.item_count - 1}: ${over.outcome} after ${secondsText((over.to - over.from) / 1000)}, ${secondsText(over.seconds)} billed, $${over.subtask.cost.usd}`
          : `${words}. Lost and failed tries cost nothing.`}
      </figcaption>
    </figure>
  );
}

/** Canvas knows no `light-dark()`; the browser resolves a colour on an element. */
function colors(node: HTMLElement): (name: string) => string {
  const probe = document.createElement("i");
  node.parentElement?.append(probe);
  const known = new Map<string, string>();
  for (const name of [...Object.values(COLORS), "--sunk", "--soft"]) {
    probe.style.color = `var(${name})`;
    known.set(name, getComputedStyle(probe).color);
  }
  probe.remove();
  return (name) => known.get(name) ?? "gray";
}
