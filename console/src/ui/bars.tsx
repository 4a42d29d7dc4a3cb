/** A picture of amounts as bars: the one under the pointer, the finger or the arrow keys in words, all of them as a table. */
import { type ComponentType, type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import "uplot/dist/uPlot.min.css";
import "../styles/bars.css";
import type { Drawing } from "./chart";
import { barAt, steppedTo, ticksTo } from "./ranges";

/** Where there is nothing, an axis has no measure. */
const nothing = (tick: number) => (tick === 0 ? "0" : "");
const AGAIN_MS = 3000;
let loaded: ComponentType<Drawing> | null = null;

/** What draws, once it has come. While the network is away the page stands without it, and it is asked for again. */
function useChart(): ComponentType<Drawing> | null {
  const [chart, setChart] = useState(() => loaded);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = chart !== null;
    const load = () =>
      import("./chart").then(
        (module) => {
          loaded = module.default;
          if (!ended) setChart(() => module.default);
        },
        () => {
          if (!ended) timer = setTimeout(load, AGAIN_MS);
        },
      );
    if (!ended) void load();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [chart]);
  return chart;
}

export interface Bar {
  /** Beneath it. */
  label: string;
  /** What it is of. */
  words: string;
  amount: number;
  /** The amount, exact, for the eye and for the ear. */
  shown: ReactNode;
  said: string;
}

export function Bars({
  name,
  bars,
  whole,
  tickText,
  tone = "accent",
  height = 132,
  marked,
  children,
}: {
  name: string;
  bars: readonly Bar[];
  /** What stands there while no bar is looked at: what all are of, and what they come to. */
  whole: [words: string, shown: ReactNode];
  /** What a round number on the axis says. */
  tickText: (tick: number) => string;
  tone?: Drawing["tone"];
  height?: number;
  marked?: number;
  /** The same as a table. */
  children: ReactNode;
}) {
  const Chart = useChart();
  const [picked, setPicked] = useState<number | null>(null);
  const placed = useRef({ left: 0, width: 1 });
  const drawn = useMemo(() => {
    const amounts = bars.map((bar) => bar.amount);
    return { amounts, labels: bars.map((bar) => bar.label), ticks: ticksTo(Math.max(...amounts)) };
  }, [bars]);
  const at = picked === null ? bars.length - 1 : Math.min(picked, bars.length - 1);
  const said = bars[at];
  if (!said) return null;
  const look = (event: React.PointerEvent) => {
    const x = event.clientX - event.currentTarget.getBoundingClientRect().left - placed.current.left;
    setPicked(barAt(x, placed.current.width, bars.length));
  };
  return (
    <figure className="bars-figure">
      <figcaption>
        <span className="soft">{picked === null ? whole[0] : said.words}</span>
        <strong>{picked === null ? whole[1] : said.shown}</strong>
      </figcaption>
      <div
        className="bars-plot"
        role="slider"
        tabIndex={0}
        aria-label={`${name}, bar by bar`}
        aria-valuemin={1}
        aria-valuemax={bars.length}
        aria-valuenow={at + 1}
        aria-valuetext={`${said.words}: ${said.said}`}
        onPointerMove={look}
        onPointerDown={look}
        onPointerLeave={() => setPicked(null)}
        onBlur={() => setPicked(null)}
        onKeyDown={(event) => {
          const to = event.key === "Escape" ? null : steppedTo(event.key, at, bars.length);
          if (to !== null) event.preventDefault();
          if (to !== null || event.key === "Escape") setPicked(to);
        }}
      >
        {Chart ? (
          <Chart
            {...drawn}
            tickText={drawn.amounts.some((amount) => amount > 0) ? tickText : nothing}
            tone={tone}
            height={height}
            picked={picked}
            {...(marked !== undefined && { marked })}
            onPlaced={(left, width) => {
              placed.current = { left, width };
            }}
          />
        ) : (
          <div style={{ height }} />
        )}
      </div>
      <details>
        <summary>{name}, as a table</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
        <div tabIndex={0}>{children}</div>
      </details>
    </figure>
  );
}
