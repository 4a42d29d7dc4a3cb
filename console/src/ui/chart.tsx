/** Bars on a canvas, drawn by uPlot; comes with the first page that shows some. */
import { useEffect, useRef } from "react";
import UPlot from "uplot";
import { inkOf, onInkChange } from "./ink";
import { heights, named } from "./ranges";

export interface Drawing {
  amounts: readonly number[];
  /** Beneath each bar, where there is room. */
  labels: readonly string[];
  /** Of the other axis, from 0; the last ends it. */
  ticks: readonly number[];
  tickText: (tick: number) => string;
  tone: "accent" | "earned";
  height: number;
  /** The bar that is looked at. */
  picked: number | null;
  /** The bar that is still growing. */
  marked?: number;
  /** How far the bars stand from the left and the right of what is drawn. */
  onPlaced: (left: number, width: number) => void;
}

const LETTERS_PX = 11;
const GAP_PX = 14;

export default function Chart(drawing: Drawing) {
  const place = useRef<HTMLDivElement>(null);
  const now = useRef(drawing);
  const plot = useRef<UPlot | null>(null);
  now.current = drawing;
  const { amounts, labels, ticks, height, tone, picked } = drawing;

  // biome-ignore lint/correctness/useExhaustiveDependencies: anything that is drawn makes another plot
  useEffect(() => {
    const node = place.current;
    if (!node) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = plotIn(node, now);
    };
    draw();
    const sized = new ResizeObserver(() => {
      if (plot.current && node.clientWidth !== plot.current.width) draw();
    });
    sized.observe(node);
    const ended = onInkChange(draw);
    return () => {
      sized.disconnect();
      ended();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [amounts, labels, ticks, height, tone]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another bar is looked at
  useEffect(() => plot.current?.redraw(false, false), [picked]);

  return <div ref={place} style={{ height }} />;
}

function plotIn(node: HTMLElement, now: { current: Drawing }): UPlot {
  const { amounts, labels, ticks, tickText, tone, height, marked } = now.current;
  const ink = inkOf(node);
  const font = `${LETTERS_PX}px ${getComputedStyle(node).fontFamily}`;
  const wide = widthsIn(font);
  const side = Math.ceil(Math.max(...ticks.map((tick) => wide(tickText(tick))))) + GAP_PX;
  const beneath = Math.max(...labels.map(wide)) + GAP_PX;
  const room = Math.max(1, node.clientWidth - side);
  const top = ticks.at(-1) ?? 1;
  const axis: UPlot.Axis = { stroke: ink("--soft"), font, ticks: { show: false } };
  return new UPlot(
    {
      width: node.clientWidth,
      height,
      padding: [LETTERS_PX / 2 + 2, Math.min(24, beneath / 2), 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: [-0.5, amounts.length - 0.5] },
        y: { range: [0, top] },
      },
      axes: [
        {
          ...axis,
          size: LETTERS_PX + 10,
          gap: 6,
          grid: { show: false },
          splits: () => named(labels.length, Math.floor(room / beneath)),
          values: (_, places) => places.map((one) => labels[one] ?? ""),
        },
        {
          ...axis,
          size: side,
          gap: 8,
          grid: { stroke: ink("--line"), width: 1 },
          splits: () => [...ticks],
          values: (_, values) => values.map(tickText),
        },
      ],
      series: [
        {},
        { fill: ink(tone === "earned" ? "--earned" : "--accent"), width: 0, paths: bars, points: { show: false } },
      ],
      hooks: {
        ready: [(self) => now.current.onPlaced(self.bbox.left / devicePixelRatio, self.bbox.width / devicePixelRatio)],
        drawClear: [(self) => column(self, now.current.picked, ink("--sunk"), self.bbox.top, self.bbox.height)],
        draw: [
          (self) => column(self, marked ?? null, ink("--ink"), self.bbox.top + self.bbox.height, 2 * devicePixelRatio),
        ],
      },
    },
    [amounts.map((_, at) => at), heights(amounts, top)],
    node,
  );
}

const bars = UPlot.paths.bars?.({ size: [0.78, 44], radius: [0.12, 0] }) ?? (() => null);

/** Fills what stands above or beneath a bar. */
function column(plot: UPlot, at: number | null, colour: string, top: number, tall: number): void {
  if (at === null) return;
  const from = plot.valToPos(at - 0.5, "x", true);
  plot.ctx.fillStyle = colour;
  plot.ctx.fillRect(from, top, plot.valToPos(at + 0.5, "x", true) - from, tall);
}

function widthsIn(font: string): (text: string) => number {
  const pen = document.createElement("canvas").getContext("2d");
  if (pen) pen.font = font;
  return (text) => pen?.measureText(text).width ?? text.length * LETTERS_PX;
}
