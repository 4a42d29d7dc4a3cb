/** One of a few: a value (a group of toggles), a part of a page (tabs, or links where the part has an address), on or off. */
import { Switch as SwitchParts } from "@base-ui/react/switch";
import { Tabs as TabParts } from "@base-ui/react/tabs";
import { Toggle } from "@base-ui/react/toggle";
import { ToggleGroup } from "@base-ui/react/toggle-group";
import { type ReactNode, useEffect, useRef } from "react";

interface Choice<V extends string> {
  /** What is chosen, for who does not see it. */
  label: string;
  names: Record<V, string>;
  value: V;
  onChange: (value: V) => void;
}

/** A value; arrow keys go from one to the next, Space or Enter takes it. */
export function Choose<V extends string>({ label, names, value, onChange }: Choice<V>) {
  return (
    <ToggleGroup
      className="segments"
      aria-label={label}
      value={[value]}
      onValueChange={([taken]) => taken !== undefined && onChange(taken)}
    >
      {(Object.keys(names) as V[]).map((one) => (
        <Toggle key={one} value={one}>
          {names[one]}
        </Toggle>
      ))}
    </ToggleGroup>
  );
}

/** Parts of a page of which one is seen: `children` is the one that is chosen. `head` stands beside the tabs. */
export function Tabs<V extends string>({
  label,
  names,
  value,
  onChange,
  head,
  children,
}: Choice<V> & { head?: ReactNode; children: ReactNode }) {
  return (
    <TabParts.Root className="stack" value={value} onValueChange={(taken: V) => onChange(taken)}>
      <div className={head ? "row apart" : "row"}>
        {head}
        <TabParts.List className="tabs" aria-label={label}>
          {(Object.keys(names) as V[]).map((one) => (
            <TabParts.Tab key={one} value={one}>
              {names[one]}
            </TabParts.Tab>
          ))}
        </TabParts.List>
      </div>
      <TabParts.Panel className="stack" value={value}>
        {children}
      </TabParts.Panel>
    </TabParts.Root>
  );
}

/** Links to the parts of a page; the present one is kept in sight where they do not all fit. */
export function Parts({ label, children }: { label: string; children: ReactNode }) {
  const ref = useRef<HTMLElement>(null);
  useEffect(() => {
    const nav = ref.current;
    const here = nav?.querySelector<HTMLElement>("[aria-current]");
    if (nav && here) nav.scrollLeft = here.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2;
  });
  return (
    <nav ref={ref} className="tabs" aria-label={label}>
      {children}
    </nav>
  );
}

export function Switch({
  label,
  checked,
  onChange,
}: {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}) {
  return (
    <SwitchParts.Root className="switch" aria-label={label} checked={checked} onCheckedChange={onChange}>
      <SwitchParts.Thumb className="switch-thumb" />
    </SwitchParts.Root>
  );
}
