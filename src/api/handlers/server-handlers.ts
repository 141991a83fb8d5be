import { activityStates } from "../../control/index.ts";
import { openApiDocument, type serverOperations } from "../../contract/index.ts";
import type { Gauge, ServerMetrics } from "../http/metrics.ts";
import type { Handlers } from "../operation-handlers.ts";
import { representUser } from "../representation/user-representation.ts";
import type { ApiServices } from "../server-facts.ts";
import { setupPage } from "../setup-page.ts";
import type { SignIn } from "../sign-in.ts";

export function serverHandlers(metrics: ServerMetrics, signIn: SignIn): Handlers<keyof typeof serverOperations> {
  let document: string | undefined;
  return {
    getHealth: async ({ services }) => ({ status: "ok", version: services.version }),

    getReadiness: async ({ services }) => {
      await services.catalog.projects.projects();
      return { status: "ok", version: services.version };
    },

    getMetrics: async ({ services }) => metrics.render(await gauges(services)),

    getOpenApi: async ({ services }) => (document ??= JSON.stringify(openApiDocument(services.version))),

    getSetupPage: async () => setupPage,

    useSignInLink: async ({ services, body, address, id }) => {
      const user = await signIn.withSecret(address, () =>
        services.catalog.access.signInLinks.use(
          body.link,
          {
            password: body.password,
            ...(body.email === undefined ? {} : { email: body.email }),
            ...(body.display_name === undefined ? {} : { displayName: body.display_name }),
          },
          { id: "", name: "one-time link", address, requestId: id },
        ),
      );
      return representUser(user, { administer: user.administrator });
    },

    createAccessToken: async ({ services, body, address }) => {
      const session = await signIn.exchange(services.catalog.access.sessions, body, address);
      return {
        access_token: session.accessToken,
        expires_in: session.expiresInSeconds,
        token_type: "bearer",
        scope: "",
        ...(session.refreshToken === undefined ? {} : { refresh_token: session.refreshToken }),
      };
    },

    revokeToken: async ({ services, body }) => {
      await services.catalog.access.sessions.signOut(body.token);
      return {};
    },
  };
}

/** Nothing that names a project or a person: whoever reaches the port may read this. */
async function gauges({ catalog, version, clock }: ApiServices): Promise<readonly Gauge[]> {
  const projects = await catalog.projects.projects();
  const open = (await Promise.all(projects.map(({ id }) => catalog.activities.listOpen(id)))).flat();
  const states = activityStates.filter((state) => state === "pending" || state === "in_progress");
  const oldest = Math.min(
    ...open.filter(({ state }) => state === "pending").map(({ createdAt }) => createdAt.getTime()),
  );
  const { rss } = process.memoryUsage();
  return [
    {
      name: "holdfast_build_info",
      help: "The version that runs.",
      samples: [{ labels: { version }, value: 1 }],
    },
    {
      name: "holdfast_activities",
      help: "Activities that have not ended.",
      samples: states.map((state) => ({
        labels: { state },
        value: open.filter((activity) => activity.state === state).length,
      })),
    },
    {
      name: "holdfast_oldest_pending_activity_seconds",
      help: "For how long the activity waits that waits longest; 0 if none does.",
      samples: [
        { labels: {}, value: Number.isFinite(oldest) ? Math.max(0, (clock.now().getTime() - oldest) / 1000) : 0 },
      ],
    },
    {
      name: "process_resident_memory_bytes",
      help: "Resident memory of the server's process.",
      samples: [{ labels: {}, value: rss }],
    },
    {
      name: "process_uptime_seconds",
      help: "For how long the server's process runs.",
      samples: [{ labels: {}, value: process.uptime() }],
    },
  ];
}
