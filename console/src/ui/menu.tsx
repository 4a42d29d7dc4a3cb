/** What else can be done with a thing, behind one button. */
import { Menu as Parts } from "@base-ui/react/menu";
import type { ReactElement, ReactNode } from "react";
import { Icon } from "./icons";

/** One thing that can be done. */
export interface Deed {
  name: string;
  act: () => void;
  danger?: boolean;
}

/** `null` in `deeds` is what cannot be done now. `label` says what they are done with. */
export function Menu({ label, deeds, small = false }: { label: string; deeds: (Deed | null)[]; small?: boolean }) {
  return (
    <Parts.Root>
      <Parts.Trigger className={small ? "button small square" : "button square"} aria-label={label}>
        <Icon name="more" />
      </Parts.Trigger>
      <MenuPlace>
        {deeds.map(
          (deed) =>
            deed && (
              <Parts.Item key={deed.name} className={deed.danger ? "bad" : ""} onClick={deed.act}>
                {deed.name}
              </Parts.Item>
            ),
        )}
      </MenuPlace>
    </Parts.Root>
  );
}

/** Where a menu opens. */
export function MenuPlace({ children }: { children: ReactNode }) {
  return (
    <Parts.Portal>
      <Parts.Positioner className="menu-place" sideOffset={6} collisionPadding={8} align="end">
        <Parts.Popup className="menu">{children}</Parts.Popup>
      </Parts.Positioner>
    </Parts.Portal>
  );
}

/** A menu of places to go and things to do, opened by `trigger`. */
export function MenuOf({ trigger, children }: { trigger: ReactElement; children: ReactNode }) {
  return (
    <Parts.Root>
      <Parts.Trigger render={trigger} />
      <MenuPlace>{children}</MenuPlace>
    </Parts.Root>
  );
}

export const MenuLink = ({ to }: { to: ReactElement }) => <Parts.LinkItem closeOnClick render={to} />;

export const MenuItem = ({ onPress, children }: { onPress: () => void; children: ReactNode }) => (
  <Parts.Item onClick={onPress}>{children}</Parts.Item>
);

/** One of a few values, chosen without leaving the menu. */
export function MenuChoice<V extends string>({
  label,
  names,
  value,
  onChange,
}: {
  label: string;
  names: Record<V, string>;
  value: V;
  onChange: (value: V) => void;
}) {
  return (
    <Parts.RadioGroup aria-label={label} className="segments" value={value} onValueChange={onChange}>
      {(Object.keys(names) as V[]).map((one) => (
        <Parts.RadioItem key={one} value={one}>
          {names[one]}
        </Parts.RadioItem>
      ))}
    </Parts.RadioGroup>
  );
}
