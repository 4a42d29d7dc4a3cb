/** Who ran which part, when: a lane for each slot, a bar for each try. Drawn on a canvas, so that thousands are no burden. */
import { useEffect, useMemo, useRef, useState } from "react";
import type { Schemas } from "../api/client";
import { countText, plural, secondsText } from "../ui/amounts";
import { inkOf, onInkChange } from "../ui/ink";

type Timeline = Schemas["TimelineOut"];
type Told = Schemas["SpanOut"];
export interface Span {
  lane: number;
  from: number;
  to: number;
  told: Told;
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
  leased: "--good",
};

/** Lanes and spans in milliseconds. */
export function lanesOf(timeline: Timeline): Lanes {
  const moment = (text: string | null) => (text ? Date.parse(text) : 0);
  return {
    names: timeline.lanes.map((lane) => `${lane.provider_name} · ${lane.slot}`),
    spans: timeline.lanes.flatMap((lane, index) =>
      lane.spans.map((told) => ({ lane: index, from: moment(told.begins_at), to: moment(told.ends_at), told })),
    ),
    from: moment(timeline.begins_at),
    to: moment(timeline.ends_at),
  };
}

/** How many tries ended how, over all of it. */
export function triesText(timeline: Timeline): string {
  const tries: Record<string, number> = {};
  for (const lane of timeline.lanes)
    for (const span of lane.spans) tries[span.outcome] = (tries[span.outcome] ?? 0) + span.tries;
  const odd = ["leased", "lost", "failed", "cancelled"]
    .filter((outcome) => tries[outcome])
    .map((outcome) => `, ${countText(tries[outcome] ?? 0)} ${outcome === "leased" ? "running now" : outcome}`);
  return `${plural(timeline.tries, "try", "tries")} on ${plural(timeline.lanes_total, "slot")}${odd.join("")}`;
}

function spanText({ told, from, to }: Span): string {
  const what =
    told.item_start == null
      ? plural(told.tries, "try", "tries")
      : told.item_end === told.item_start + 1
        ? `Item ${countText(told.item_start)}`
        : `Items ${countText(told.item_start)} to ${countText((told.item_end ?? 1) - 1)}`;
  const how = told.outcome === "leased" ? "running for" : `${told.outcome} ${told.tries > 1 ? "within" : "after"}`;
  const paid = told.outcome === "done" ? `, ${secondsText(told.seconds)} billed, $${told.gross.usd}` : "";
  return `${what}: ${how} ${secondsText((to - from) / 1000)}${paid}`;
}

export function Gantt({ timeline }: { timeline: Timeline }) {
  const lanes = useMemo(() => lanesOf(timeline), [timeline]);
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
      const ink = inkOf(node);
      lanes.names.forEach((name, index) => {
        const y = index * LANE_PX;
        pen.fillStyle = ink("--sunk");
        pen.fillRect(NAMES_PX, y + 3, width - NAMES_PX, LANE_PX - 6);
        pen.fillStyle = ink("--soft");
        pen.fillText(name, 0, y + 17, NAMES_PX - 10);
      });
      for (const span of lanes.spans) {
        pen.fillStyle = ink(COLORS[span.told.outcome] ?? "--soft");
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
    return onInkChange(draw);
  });

  const find = (event: React.PointerEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    const lane = Math.floor((event.clientY - box.top) / LANE_PX);
    const at = event.clientX - box.left;
    setOver(
      lanes.spans.findLast((span) => span.lane === lane && at >= x(span.from) - 2 && at <= x(span.to) + 2) ?? null,
    );
  };

  const words = `${triesText(timeline)} within ${secondsText(length / 1000)}`;
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
        {over ? spanText(over) : `${words}. Lost and failed tries cost nothing.`}
        {!over && !timeline.exact && " Neighbouring tries are drawn as one."}
        {!over &&
          timeline.lanes_total > timeline.lanes.length &&
          ` The ${timeline.lanes.length} busiest slots are drawn.`}
      </figcaption>
    </figure>
  );
}
