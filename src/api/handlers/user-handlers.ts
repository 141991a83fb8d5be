import type { UserId } from "../../control/index.ts";
import type { userOperations } from "../../contract/index.ts";
import type { Caller } from "../caller.ts";
import type { Handlers } from "../operation-handlers.ts";
import { links } from "../representation/links.ts";
import { organizationId, representProjectReference } from "../representation/project-representation.ts";
import { timestamp } from "../representation/times.ts";
import {
  representApiToken,
  representGrant,
  representUser,
  representUserReference,
} from "../representation/user-representation.ts";
import { HoldfastError } from "../../base/index.ts";

const offersTo = (caller: Caller) => ({ administer: caller.user.administrator });

/** The address behind which a person sets their password. The secret stands after "#", which browsers send nowhere. */
export const signInLinkUrl = (origin: string, secret: string): string => `${origin}/setup#${secret}`;

export const userHandlers: Handlers<keyof typeof userOperations> = {
  listUsers: async ({ caller }) => {
    caller.assertAdministrator();
    return (await caller.access.users.list()).map((user) => representUser(user, offersTo(caller)));
  },

  createUser: async ({ caller, body, origin }) => {
    caller.assertAdministrator();
    const user = await caller.access.users.create(
      {
        kind: body.machine === true ? "machine" : "person",
        email: body.email,
        administrator: body.administrator === true,
        ...(body.display_name === undefined ? {} : { displayName: body.display_name }),
      },
      caller.author,
    );
    const shown = representUser(user, offersTo(caller));
    if (user.kind === "machine") return shown;
    const secret = await caller.access.signInLinks.createFor(user.id, caller.author);
    return { ...shown, sign_in_link: signInLinkUrl(origin, secret) };
  },

  getUser: async ({ caller, parameters }) => representUser(await caller.userNamed(parameters.user), offersTo(caller)),

  updateUser: async ({ caller, parameters, body }) => {
    caller.assertAdministrator();
    const { id } = await caller.userNamed(parameters.user);
    const user = await caller.access.users.update(
      id,
      {
        ...(body.display_name === undefined ? {} : { displayName: body.display_name }),
        ...(body.administrator === undefined ? {} : { administrator: body.administrator }),
      },
      caller.author,
    );
    return representUser(user, offersTo(caller));
  },

  deleteUser: async ({ caller, parameters }) => {
    caller.assertAdministrator();
    await caller.access.users.delete((await caller.userNamed(parameters.user)).id, caller.author);
    return undefined;
  },

  createSignInLink: async ({ caller, parameters, origin }) => {
    caller.assertAdministrator();
    const { id } = await caller.userNamed(parameters.user);
    assertNotWithOwnApiToken(caller, id);
    return { sign_in_link: signInLinkUrl(origin, await caller.access.signInLinks.createFor(id, caller.author)) };
  },

  listApiTokens: async ({ caller, parameters }) => {
    const { id } = await caller.userNamed(parameters.user);
    return (await caller.access.apiTokens.list(id)).map((token) => representApiToken(token));
  },

  createApiToken: async ({ caller, parameters, body }) => {
    const { id } = await caller.userNamed(parameters.user);
    assertNotWithOwnApiToken(caller, id);
    const { secret, ...token } = await caller.access.apiTokens.create(id, body.name, caller.author);
    return { ...representApiToken(token), token: secret };
  },

  getApiToken: async ({ caller, parameters }) => {
    const { id } = await caller.userNamed(parameters.user);
    const token = await caller.access.apiTokens.get(id, parameters.token);
    if (token !== undefined) return representApiToken(token);
    throw new HoldfastError("TOKEN_NOT_FOUND", `There is no API token ${JSON.stringify(parameters.token)}.`);
  },

  deleteApiToken: async ({ caller, parameters }) => {
    const { id } = await caller.userNamed(parameters.user);
    await caller.access.apiTokens.delete(id, parameters.token, caller.author);
    return undefined;
  },

  listExtendedAccess: async ({ caller, parameters }) => {
    const user = await caller.userNamed(parameters.user);
    const granted = new Map((await caller.access.projectAccess.listOfUser(user.id)).map((one) => [one.project, one]));
    // An administrator's own list has every project: that is what clients list projects by.
    const seen = user.id === caller.user.id ? await caller.projects() : await projectsOf(caller, user.id);
    const items = seen.map(({ project }) => {
      const grant = granted.get(project.id);
      return {
        resource_id: project.id,
        resource_type: "project" as const,
        organization_id: organizationId,
        user_id: user.id,
        permissions: grant === undefined ? ["admin" as const] : [...grant.permissions],
        granted_at: timestamp(grant?.grantedAt ?? project.createdAt),
        updated_at: timestamp(grant?.updatedAt ?? project.updatedAt),
      };
    });
    const ids = items.map(({ resource_id: id }) => encodeURIComponent(id)).join(",");
    return {
      items,
      _links: links({
        self: `/users/${encodeURIComponent(user.id)}/extended-access`,
        "ref:projects:0": items.length > 0 && `/ref/projects?in=${ids}`,
      }),
    };
  },

  listProjectAccess: async ({ caller, parameters }) => {
    const { id } = await caller.userNamed(parameters.user);
    const grants = await caller.access.projectAccess.listOfUser(id);
    return {
      items: grants.map((grant) => representGrant(grant, { edit: caller.user.administrator })),
      _links: links({ self: `/users/${encodeURIComponent(id)}/project-access` }),
    };
  },

  listUserReferences: async ({ caller, query }) => {
    const known = await usersSeenBy(caller);
    return Object.fromEntries(
      query.in.split(",").map((id) => {
        const user = known.get(id);
        return [id, user === undefined ? null : representUserReference(user)];
      }),
    );
  },

  listProjectReferences: async ({ caller, query }) => {
    const known = new Map((await caller.projects()).map((view) => [String(view.id), view]));
    return Object.fromEntries(
      query.in.split(",").map((id) => {
        const view = known.get(id);
        return [id, view === undefined ? null : representProjectReference(view)];
      }),
    );
  },

  checkVerification: async () => ({ state: false, type: "" }),
};

/**
 * With an API token nobody gets themselves another way in (a token, a link that sets a password), which would outlive it.
 * @throws HoldfastError ACCESS_DENIED
 */
function assertNotWithOwnApiToken(caller: Caller, id: UserId): void {
  if (id !== caller.user.id || !caller.hasApiToken) return;
  throw new HoldfastError("ACCESS_DENIED", "With an API token you may not make yourself another way to sign in.", {
    remedy:
      caller.user.kind === "machine" ? "An administrator makes them for machine users." : "Sign in with your password.",
  });
}

/** For an administrator who looks at somebody else. */
async function projectsOf(caller: Caller, user: UserId) {
  const granted = new Set((await caller.access.projectAccess.listOfUser(user)).map(({ project }) => project));
  return (await caller.projects()).filter(({ project }) => granted.has(project.id));
}

/** Oneself, everybody for an administrator, and those whose access one may see. */
async function usersSeenBy(caller: Caller) {
  if (caller.user.administrator) {
    return new Map((await caller.access.users.list()).map((user) => [String(user.id), user]));
  }
  const seen = new Map([[String(caller.user.id), caller.user]]);
  for (const view of await caller.projects()) {
    if (!view.may("viewAccess")) continue;
    for (const { who } of await caller.access.projectAccess.listOfProject(view.id)) seen.set(who.id, who);
  }
  return seen;
}
