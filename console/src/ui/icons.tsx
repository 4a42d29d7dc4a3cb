const paths = {
  overview: "M3 12 12 4l9 8M6 10v9h12v-9",
  jobs: "M4 6h10M4 12h16M4 18h7",
  models: "M12 3 4 7.5v9L12 21l8-4.500v-9zM4 7.500l8 4.500 8-4.500M12 12v9",
  machines: "M4 5h16v10H4zM9 20h6M12 15v5",
  wallet: "M4 7h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H4zM4 7V6a1 1 0 0 1 1-1h11v2M16 13h.01",
  market: "M5 4v16M5 20h15M9 16v-5M13 16V8M17 16v-3",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  operator: "M12 3l7 3v6c0 4-3 7-7 9-4-2-7-5-7-9V6zM9 12l2 2 4-4",
  more: "M5 11.300v1.400M4.300 12h1.400M12 11.300v1.400M11.300 12h1.400M19 11.300v1.400M18.300 12h1.400",
  copy: "M9 9h10v11H9zM5 15V4h10",
  check: "M5 12.500 10 17.500 19 7",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9l5-5 5 5M5 20h14",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v1.500M12 19.500V21M3 12h1.500M19.500 12H21M5.600 5.600l1 1M17.400 17.400l1 1M18.400 5.600l-1 1M6.600 17.400l-1 1",
  out: "M10 5H5v14h5M14 8l4 4-4 4M18 12H9",
};
export type IconName = keyof typeof paths;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={paths[name]} />
    </svg>
  );
}
