/** What stands around every page: navigation at the side or, on a phone, at the bottom; who is signed in; play money. */
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { useEffect } from "react";
import { session } from "./api/client";
import { useCut, useLive } from "./api/live";
import { me, wallet } from "./api/queries";
import { Choose } from "./ui/choose";
import { Icon, type IconName } from "./ui/icons";
import { MenuChoice, MenuItem, MenuLink, MenuOf } from "./ui/menu";
import { Empty, Failure, Money } from "./ui/small";
import { setTheme, useTheme } from "./ui/theme";
import { Tip } from "./ui/tip";

const PLACES: {
  to: "/" | "/jobs" | "/models" | "/machines" | "/wallet" | "/marketplace" | "/settings" | "/operator";
  name: string;
  icon: IconName;
}[] = [
  { to: "/", name: "Overview", icon: "overview" },
  { to: "/jobs", name: "Jobs", icon: "jobs" },
  { to: "/models", name: "Models", icon: "models" },
  { to: "/machines", name: "Machines", icon: "machines" },
  { to: "/wallet", name: "Wallet", icon: "wallet" },
  { to: "/marketplace", name: "Marketplace", icon: "market" },
  { to: "/settings", name: "Settings", icon: "settings" },
];
const OPERATING: (typeof PLACES)[number] = { to: "/operator", name: "Operator", icon: "operator" };
const ON_PHONE = 4;
const COLOURS = { system: "auto", light: "light", dark: "dark" } as const;

export async function signOut(): Promise<void> {
  const refreshToken = session.refreshToken;
  session.end();
  if (refreshToken) {
    await fetch("/api/v1/auth/logout", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refresh_token: refreshToken }),
    }).catch(() => undefined);
  }
}

export function Shell() {
  const { pathname } = useLocation();
  const cut = useCut();
  const person = useQuery(me);
  useLive();
  const places = person.data?.role === "operator" ? [...PLACES, OPERATING] : PLACES;
  useEffect(() => {
    const place = [...PLACES, OPERATING].findLast((one) =>
      one.to === "/" ? pathname === "/" : pathname.startsWith(one.to),
    );
    document.title = place ? `${place.name} · Fabric` : "Fabric";
  }, [pathname]);
  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to the page
      </a>
      <aside className="side">
        <Link to="/" className="brand">
          <img src="/console/mark.svg" width="28" height="28" alt="" /> Fabric
        </Link>
        <nav aria-label="Main" className="stack tight">
          {places.map((place) => (
            <Place key={place.to} {...place} />
          ))}
        </nav>
        <div className="side-end">
          <Purse />
          <Account />
        </div>
      </aside>
      <main className="page" id="content" tabIndex={-1}>
        {cut && (
          <p className="notice warn" role="status">
            The fabric does not answer at the moment, so this page may be old. It catches up by itself.
          </p>
        )}
        <Outlet />
      </main>
      <nav className="tabbar" aria-label="Main">
        {PLACES.slice(0, ON_PHONE).map((place) => (
          <Place key={place.to} {...place} />
        ))}
        <More places={places.slice(ON_PHONE)} />
      </nav>
    </div>
  );
}

function Place({ to, name, icon, ...rest }: (typeof PLACES)[number]) {
  return (
    <Link {...rest} to={to} activeOptions={{ exact: to === "/", includeSearch: false }}>
      <Icon name={icon} size={20} />
      {name}
    </Link>
  );
}

/** On a phone: what does not fit beside the first four places. */
function More({ places }: { places: typeof PLACES }) {
  const person = useQuery(me);
  const purse = useQuery(wallet);
  const theme = useTheme();
  return (
    <MenuOf
      trigger={
        <button type="button">
          <Icon name="more" size={20} />
          More
        </button>
      }
    >
      {places.map((place) => (
        <MenuLink key={place.to} to={<Place {...place} />} />
      ))}
      <hr />
      <p className="menu-words small soft">{person.data?.email}</p>
      {purse.data && (
        <p className="menu-words small row apart">
          <span className="soft">Credit</span>
          <strong>
            <Money of={purse.data.available} />
          </strong>
        </p>
      )}
      <MenuChoice label="Light or dark" names={COLOURS} value={theme} onChange={setTheme} />
      <MenuItem onPress={() => void signOut()}>
        <Icon name="out" /> Sign out
      </MenuItem>
    </MenuOf>
  );
}

function Purse() {
  const { data } = useQuery(wallet);
  if (!data) return null;
  return (
    <Link to="/wallet" className="stack tight small">
      <span className="row apart">
        <span className="soft">Credit</span>
        {!data.livemode && <PlayMoney />}
      </span>
      <strong>
        <Money of={data.available} />
      </strong>
    </Link>
  );
}

export function PlayMoney() {
  return (
    <Tip says="Nobody pays or is paid with it">
      <span className="badge play">play money</span>
    </Tip>
  );
}

function Account() {
  const { data } = useQuery(me);
  const theme = useTheme();
  return (
    <div className="stack tight small">
      <div className="row apart who">
        <Tip says={data?.email ?? ""} taps>
          <span className="soft">{data?.email}</span>
        </Tip>
        <Tip says="Sign out">
          <button type="button" className="icon-button" aria-label="Sign out" onClick={() => void signOut()}>
            <Icon name="out" />
          </button>
        </Tip>
      </div>
      <Choose label="Light or dark" names={COLOURS} value={theme} onChange={setTheme} />
    </div>
  );
}

export function NotHere() {
  return (
    <Empty
      title="There is no such page"
      action={
        <Link to="/" className="button">
          Go to the overview
        </Link>
      }
    >
      The address may be mistyped, or what it showed is gone.
    </Empty>
  );
}

export function PageFailure({ error, retry }: { error: unknown; retry: () => void }) {
  // A new build has other file names: a page that was open before asks for files that are gone.
  const outdated = error instanceof TypeError && /import|module/i.test(error.message);
  return (
    <div className="stack">
      <Failure
        error={outdated ? new Error("The console has been renewed since this page was opened.") : error}
        retry={outdated ? () => location.reload() : retry}
      />
    </div>
  );
}
