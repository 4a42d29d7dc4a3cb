import { CSPProvider } from "@base-ui/react/csp-provider";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { createRoot } from "react-dom/client";
import { session } from "./api/client";
import { queries } from "./api/queries";
import { router } from "./router";
import "./style.css";
import { applyTheme } from "./ui/theme";
import { Tips } from "./ui/tip";
import { Toasts } from "./ui/toasts";

applyTheme();
// Asked for beside the page's own code and not after it; what goes wrong is told by whatever needs the token.
if (session.signedIn) session.token().catch(() => undefined);
session.subscribe(() => {
  if (!session.signedIn) queries.clear();
  void router.invalidate();
});
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    // The policy allows no style elements; what they would say stands in our own style sheets.
    <CSPProvider disableStyleElements>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
        <Toasts />
        <Tips />
      </QueryClientProvider>
    </CSPProvider>,
  );
}
