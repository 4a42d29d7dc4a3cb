/** What a client calls itself, as people call it: "Chrome on Linux"; a program keeps its own name. */
const BROWSERS: [RegExp, string][] = [
  [/Edg\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\//, "Firefox"],
  [/Chrom(e|ium)\//, "Chrome"],
  [/Safari\//, "Safari"],
];
const SYSTEMS: [RegExp, string][] = [
  [/Android/, "Android"],
  [/iPhone|iPad/, "iOS"],
  [/Windows/, "Windows"],
  [/Mac OS X/, "macOS"],
  [/Linux/, "Linux"],
];

export function deviceWords(agent: string | null): string {
  if (!agent) return "Unknown device";
  const found = (known: [RegExp, string][]) => known.find(([pattern]) => pattern.test(agent))?.[1];
  const browser = agent.startsWith("Mozilla/") ? found(BROWSERS) : undefined;
  if (!browser) return agent;
  const system = found(SYSTEMS);
  return system ? `${browser} on ${system}` : browser;
}
