/** What stands around every page: navigation at the side or, on a phone, at the bottom; who is signed in; play money. */
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { session } from "./api/client";
import { useCut, useLive } from "./api/live";
import { me, wallet } from "./api/queries";
import { Dialog } from "./ui/dialog";
import { Icon, type IconName } from "./ui/icons";
import { Empty, Failure, Money } from "./ui/small";
import { setTheme, THEMES, useTheme } from "./ui/theme";

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
  const [more, setMore] = useState(false);
  const cut = useCut();
  const person = useQuery(me);
  useLive();
  const places = person.data?.role === "operator" ? [...PLACES, OPERATING] : PLACES;
  useEffect(() => {
    const place = [...PLACES, OPERATING].findLast((one) =>
      one.to === "/" ? pathname === "/" : pathname.startsWith(one.to),
    );
    document.title = place ? `${place.name} · Fabric` : "Fabric";
    setMore(false);
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
        <button type="button" aria-haspopup="dialog" onClick={() => setMore(true)}>
          <Icon name="more" size={20} />
          More
        </button>
      </nav>
      {more && (
        <Dialog title="More" onClose={() => setMore(false)}>
          <Purse />
          <nav className="more-list stack tight" aria-label="More">
            {places.slice(ON_PHONE).map((place) => (
              <Place key={place.to} {...place} />
            ))}
          </nav>
          <Account />
        </Dialog>
      )}
    </div>
  );
}

function Place({ to, name, icon }: (typeof PLACES)[number]) {
  return (
    <Link to={to} activeOptions={{ exact: to === "/", includeSearch: false }}>
      <Icon name={icon} size={20} />
      {name}
    </Link>
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
    <span className="badge play" title="Nobody pays or is paid with it">
      play money
    </span>
  );
}

function Account() {
  const { data } = useQuery(me);
  const theme = useTheme();
  return (
    <div className="stack tight small">
      <div className="row apart who">
        <span className="soft" title={data?.email}>
          {data?.email}
        </span>
        <button
          type="button"
          className="icon-button"
          title="Sign out"
          aria-label="Sign out"
          onClick={() => void signOut()}
        >
          <Icon name="out" />
        </button>
      </div>
      <div>
        <fieldset className="segments">
          <legend className="visually-hidden">Colours</legend>
          {THEMES.map((one) => (
            <button type="button" key={one} aria-pressed={theme === one} onClick={() => setTheme(one)}>
              {one === "system" ? "auto" : one}
            </button>
          ))}
        </fieldset>
      </div>
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
