/** Addresses and the pages behind them; each page is loaded when it is first opened. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { session } from "./api/client";
import { queries } from "./api/queries";
import { type JobSearch, lookAhead } from "./jobs/queries";
import { NotHere, PageFailure, Shell } from "./shell";
import { Skeleton } from "./ui/small";

const root = createRootRoute({ notFoundComponent: NotHere });

export const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (search: Record<string, unknown>): { next?: string } =>
    typeof search.next === "string" && /^\/(?!\/)/.test(search.next) ? { next: search.next } : {},
  beforeLoad: ({ search }) => {
    if (session.signedIn) throw redirect({ href: search.next ?? "/" });
  },
  component: lazyRouteComponent(() => import("./pages/sign-in"), "SignInPage"),
});

const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  component: Shell,
  notFoundComponent: NotHere,
  beforeLoad: ({ location }) => {
    if (!session.signedIn)
      throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { next: location.href } });
  },
});

const overview = createRoute({
  getParentRoute: () => inside,
  path: "/",
  component: lazyRouteComponent(() => import("./pages/overview"), "OverviewPage"),
});
const STATUSES = ["queued", "running", "succeeded", "failed", "cancelled"] as const;
export const jobs = createRoute({
  getParentRoute: () => inside,
  path: "/jobs",
  validateSearch: (search: Record<string, unknown>): JobSearch => {
    const status = STATUSES.find((known) => known === search.status);
    const text = (name: "q" | "model" | "label") => (search[name] == null ? "" : String(search[name]));
    const since = typeof search.since === "string" && /^\d{4}-\d{2}-\d{2}$/.test(search.since) ? search.since : null;
    return {
      ...(status && { status }),
      ...(text("q") && { q: text("q") }),
      ...(text("model") && { model: text("model") }),
      ...(text("label").includes(":") && { label: text("label") }),
      ...(since && { since }),
    };
  },
  component: lazyRouteComponent(() => import("./pages/jobs"), "JobsPage"),
});
export const newJob = createRoute({
  getParentRoute: () => inside,
  path: "/jobs/new",
  validateSearch: (
    search: Record<string, unknown>,
  ): { model?: string; again?: string; inputs?: "other"; template?: string } => ({
    ...(typeof search.model === "string" && { model: search.model }),
    ...(typeof search.again === "string" && { again: search.again }),
    ...(search.inputs === "other" && { inputs: "other" }),
    ...(search.template != null && { template: String(search.template) }),
  }),
  component: lazyRouteComponent(() => import("./pages/new-job"), "NewJobPage"),
});
export const job = createRoute({
  getParentRoute: () => inside,
  path: "/jobs/$id",
  // Not when a pointer merely passes over one of many lines.
  beforeLoad: ({ params, cause }) => {
    if (cause !== "preload") lookAhead(queries, params.id);
  },
  component: lazyRouteComponent(() => import("./pages/job"), "JobPage"),
});
const models = createRoute({
  getParentRoute: () => inside,
  path: "/models",
  component: lazyRouteComponent(() => import("./pages/models"), "ModelsPage"),
});
export const model = createRoute({
  getParentRoute: () => inside,
  path: "/models/$reference",
  component: lazyRouteComponent(() => import("./pages/model"), "ModelPage"),
});
const machines = createRoute({
  getParentRoute: () => inside,
  path: "/machines",
  component: lazyRouteComponent(() => import("./pages/machines"), "MachinesPage"),
});
const wallet = createRoute({
  getParentRoute: () => inside,
  path: "/wallet",
  component: lazyRouteComponent(() => import("./pages/wallet"), "WalletPage"),
});
export const market = createRoute({
  getParentRoute: () => inside,
  path: "/marketplace",
  validateSearch: (search: Record<string, unknown>): { model?: string } =>
    typeof search.model === "string" ? { model: search.model } : {},
  component: lazyRouteComponent(() => import("./pages/marketplace"), "MarketplacePage"),
});
export const forgot = createRoute({
  getParentRoute: () => root,
  path: "/forgot",
  component: lazyRouteComponent(() => import("./pages/forgot"), "ForgotPage"),
});
const SETTINGS = ["profile", "security", "keys", "webhooks", "data"] as const;
export const settings = createRoute({
  getParentRoute: () => inside,
  path: "/settings",
  validateSearch: (search: Record<string, unknown>): { part?: (typeof SETTINGS)[number] } => {
    const part = SETTINGS.find((known) => known === search.part);
    return part ? { part } : {};
  },
  component: lazyRouteComponent(() => import("./pages/settings"), "SettingsPage"),
});

const OPERATING = ["health", "users", "machines", "jobs", "ledger", "prices", "gate"] as const;
export const operator = createRoute({
  getParentRoute: () => inside,
  path: "/operator",
  validateSearch: (search: Record<string, unknown>): { part?: (typeof OPERATING)[number]; user?: string } => {
    const part = OPERATING.find((known) => known === search.part);
    return { ...(part && { part }), ...(typeof search.user === "string" && { user: search.user }) };
  },
  component: lazyRouteComponent(() => import("./pages/operator"), "OperatorPage"),
});

const nowhere = createRoute({ getParentRoute: () => inside, path: "$", component: NotHere });

export const router = createRouter({
  routeTree: root.addChildren([
    signIn,
    forgot,
    inside.addChildren([
      overview,
      jobs,
      newJob,
      job,
      models,
      model,
      machines,
      wallet,
      market,
      settings,
      operator,
      nowhere,
    ]),
  ]),
  basepath: "/console",
  defaultPreload: "intent",
  defaultPendingComponent: () => (
    <main className="page">
      <Skeleton />
    </main>
  ),
  defaultErrorComponent: ({ error, reset }) => <PageFailure error={error} retry={reset} />,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
