/** Colours and letters for what is drawn on a canvas, and when to draw it anew. */

/** Canvas knows no `light-dark()`; the browser resolves a colour on an element, here one beside `node`. */
export function inkOf(node: HTMLElement): (name: string) => string {
  const known = new Map<string, string>();
  return (name) => {
    const before = known.get(name);
    if (before) return before;
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    node.parentElement?.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    known.set(name, colour);
    return colour;
  };
}

/** Calls `draw` when colours change (the system's or the page's) and when the letters have come; the answer ends that. */
export function onInkChange(draw: () => void): () => void {
  let ended = false;
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const themed = new MutationObserver(draw);
  scheme.addEventListener("change", draw);
  themed.observe(document.documentElement, { attributes: true, attributeFilter: ["style"] });
  if (document.fonts.status === "loading") void document.fonts.ready.then(() => ended || draw());
  return () => {
    ended = true;
    scheme.removeEventListener("change", draw);
    themed.disconnect();
  };
}
