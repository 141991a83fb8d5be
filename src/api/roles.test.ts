import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { EnvironmentId } from "../base/index.ts";
import type { EnvironmentType, ProjectPermission } from "../control/index.ts";
import { type OperationName, operations } from "../contract/index.ts";
import {
  type Answer,
  ApiUnderTest,
  author,
  environmentOf,
  environmentTypes,
  linksOf,
  shop,
} from "./testing/api-under-test.ts";

/** Everybody that there can be; what they are is in `permissions`. */
const permissions: Readonly<Record<string, readonly ProjectPermission[]>> = {
  stranger: [],
  "project admin": ["admin"],
  "project viewer": ["viewer"],
  ...Object.fromEntries(
    environmentTypes.flatMap((type) =>
      (["viewer", "contributor", "admin"] as const).map((role) => [`${type} ${role}`, [`${type}:${role}`]]),
    ),
  ),
};
const roles = ["nobody", "administrator", ...Object.keys(permissions)];

/** The statuses that a refusal may have: not signed in, not allowed, not to be seen at all. */
const refusals = { nobody: 401, hidden: 404, denied: 403 } as const;

/** "unsupported": allowed, as far as roles go. */
type Expected = "allowed" | "unsupported" | keyof typeof refusals;

// The table of who may do what, from the specification (A1), not from the code.

const signedIn = (role: string): Expected => (role === "nobody" ? "nobody" : "allowed");

const forAdministrators = (role: string): Expected =>
  role === "nobody" ? "nobody" : role === "administrator" ? "allowed" : "denied";

/** In a project: everybody with any permission, its viewers, its admins. */
const inProject =
  (least: "member" | "viewer" | "admin") =>
  (role: string): Expected => {
    if (role === "nobody") return "nobody";
    if (role === "stranger") return "hidden";
    if (role === "administrator" || role === "project admin" || least === "member") return "allowed";
    return least === "viewer" && role === "project viewer" ? "allowed" : "denied";
  };

type Least = "viewer" | "contributor" | "admin";

/** In an environment of a type: who sees it, its contributors, and its admins. */
const inEnvironment =
  (least: Least, type: EnvironmentType) =>
  (role: string): Expected => {
    if (role === "nobody") return "nobody";
    if (role === "stranger") return "hidden";
    if (role === "administrator" || role === "project admin" || role === `${type} admin`) return "allowed";
    if (role === `${type} contributor`) return least === "admin" ? "denied" : "allowed";
    return least === "viewer" && (role === "project viewer" || role === `${type} viewer`) ? "allowed" : "denied";
  };

let api: ApiUnderTest;
const tokens = new Map<string, string | undefined>();
let otherUser = "";

beforeAll(async () => {
  api = await ApiUnderTest.start();
  tokens.set("nobody", undefined);
  tokens.set("administrator", await api.tokenOf(await api.user("administrator", [], true)));
  for (const [role, given] of Object.entries(permissions)) {
    tokens.set(role, await api.tokenOf(await api.user(role.replace(" ", "-"), given)));
  }
  otherUser = (await api.user("other", ["viewer"])).id;
});
// Each operation finds room for its activities.
afterEach(async () => {
  for (const { id } of await api.catalog.activities.listOpen(shop)) {
    await api.catalog.activities.cancel(shop, id, author);
  }
});
afterAll(() => api.stop());

/** How an operation is called so that nothing but a lacking right keeps it from succeeding. */
interface Case {
  readonly parameters?: () => Promise<Readonly<Record<string, string>>> | Readonly<Record<string, string>>;
  readonly body?: () => unknown;
  readonly query?: string;
}

let made = 0;
const fresh = (): number => (made += 1);

const newUser = async (): Promise<string> => (await api.user(`fresh-${fresh()}`, ["viewer"])).id;
const ofOther = (more: Readonly<Record<string, string>> = {}): Case => ({
  parameters: () => ({ user: otherUser, ...more }),
});
const ofMe = (more: Readonly<Record<string, string>> = {}): Case => ({ parameters: () => ({ user: "me", ...more }) });
const project = (more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => ({
  project: shop,
  ...more,
});
const inShop = (more: Omit<Case, "parameters"> = {}): Case => ({ parameters: () => project(), ...more });
const otherToken = async () => ({
  user: otherUser,
  token: (await api.catalog.access.apiTokens.create(otherUser as never, "t", author)).id,
});

/** Operations outside of environments, who may, and how they are called. */
const table: Partial<Record<OperationName, readonly [(role: string) => Expected, Case]>> = {
  listUsers: [forAdministrators, {}],
  createUser: [forAdministrators, { body: () => ({ email: `made-${fresh()}@example.com` }) }],
  getUser: [forAdministrators, ofOther()],
  updateUser: [forAdministrators, { ...ofOther(), body: () => ({ display_name: "Other" }) }],
  deleteUser: [forAdministrators, { parameters: async () => ({ user: await newUser() }) }],
  createSignInLink: [forAdministrators, ofOther()],
  listApiTokens: [forAdministrators, ofOther()],
  createApiToken: [forAdministrators, { ...ofOther(), body: () => ({ name: "t" }) }],
  getApiToken: [forAdministrators, { parameters: otherToken }],
  deleteApiToken: [forAdministrators, { parameters: otherToken }],
  listExtendedAccess: [forAdministrators, ofOther()],
  listProjectAccess: [forAdministrators, ofOther()],
  listAuditTrail: [forAdministrators, {}],
  listUserReferences: [signedIn, { query: "?in=a,b" }],
  listProjectReferences: [signedIn, { query: "?in=shop" }],
  checkVerification: [signedIn, {}],
  listProjects: [signedIn, {}],
  getProject: [inProject("member"), inShop()],
  getCapabilities: [inProject("member"), inShop()],
  getSettings: [inProject("member"), inShop()],
  updateSettings: [inProject("admin"), inShop({ body: () => ({ data_retention: { staging: { max_backups: 9 } } }) })],
  listEnvironmentTypes: [inProject("member"), inShop()],
  getEnvironmentType: [inProject("member"), { parameters: () => project({ type: "staging" }) }],
  listUserAccess: [inProject("viewer"), inShop()],
  grantUserAccess: [inProject("admin"), inShop({ body: () => [{ user_id: otherUser, permissions: ["viewer"] }] })],
  getUserAccess: [inProject("viewer"), { parameters: () => project({ user: otherUser }) }],
  updateUserAccess: [
    inProject("admin"),
    { parameters: () => project({ user: otherUser }), body: () => ({ permissions: ["viewer"] }) },
  ],
  removeUserAccess: [inProject("admin"), { parameters: async () => project({ user: await newUser() }) }],
  listTeamAccess: [inProject("viewer"), inShop()],
  listProjectAuditTrail: [inProject("admin"), inShop()],
  listEnvironments: [inProject("member"), inShop()],
  listActivities: [inProject("member"), inShop()],
};

const active = (type: EnvironmentType) => () => project({ environment: environmentOf(type) });
const withBackup = (type: EnvironmentType) => async () => {
  const environment = environmentOf(type);
  return project({ environment, backup: (await api.backup(environment)).id });
};
const withActivity = (type: EnvironmentType) => async () => {
  const environment = environmentOf(type);
  const { activity } = await api.catalog.activities.create(
    { project: shop, environment, type: "environment.backup", parameters: {}, payload: {}, text: "x", storage: "disk" },
    author,
  );
  return project({ environment, activity: activity.id });
};
/** The activity that made a backup. One after the other, since completing one completes what waits before it. */
const withBackupActivity = (type: EnvironmentType) => () => {
  const next = last.then(async () => {
    const parameters = await withActivity(type)();
    const { id } = await api.backup(environmentOf(type));
    await api.complete(parameters["activity"] ?? "", { backup_name: id });
    return parameters;
  });
  last = next;
  return next;
};
let last: Promise<unknown> = Promise.resolve();
/** An environment that the configuration does not have. */
const undeclared = async (type: EnvironmentType) => {
  const environment = `gone-${fresh()}` as EnvironmentId;
  await api.catalog.projects.declare(
    [
      {
        id: shop,
        title: "Shop",
        environments: [{ id: environment, title: "", type, parent: undefined, initialStatus: "active" }],
      },
    ],
    { complete: false },
  );
  await api.declareShop();
  return project({ environment });
};
const live = () => ({ safe: false });

/** Operations on environments: what they need at least, and how they are called on one of each type. */
const environmentTable: Partial<
  Record<OperationName, readonly [Least, (type: EnvironmentType) => Case, "unsupported"?]>
> = {
  getEnvironment: ["viewer", (type) => ({ parameters: active(type) })],
  updateEnvironment: ["admin", (type) => ({ parameters: active(type), body: () => ({ status: "paused" }) })],
  listBackups: ["viewer", (type) => ({ parameters: active(type) })],
  createBackup: ["admin", (type) => ({ parameters: active(type), body: live })],
  createBackupInList: ["admin", (type) => ({ parameters: active(type), body: live })],
  getBackup: ["viewer", (type) => ({ parameters: withBackup(type) })],
  listBackupDetails: ["viewer", (type) => ({ parameters: active(type) })],
  getBackupSizes: ["viewer", (type) => ({ parameters: withBackup(type) })],
  listBackupFiles: ["admin", (type) => ({ parameters: withBackup(type) })],
  getBackupArchive: ["admin", (type) => ({ parameters: withBackup(type) })],
  planBackup: ["admin", (type) => ({ parameters: active(type), query: "?safe=false" })],
  planRestore: ["admin", (type) => ({ parameters: withBackup(type) })],
  getBackupDetails: ["viewer", (type) => ({ parameters: withBackup(type) })],
  deleteBackup: ["admin", (type) => ({ parameters: withBackup(type) })],
  restoreBackup: ["admin", (type) => ({ parameters: withBackup(type) })],
  activateEnvironment: [
    "admin",
    (type) => ({ parameters: () => project({ environment: environmentOf(type, "inactive") }) }),
  ],
  deactivateEnvironment: ["admin", (type) => ({ parameters: active(type) })],
  pauseEnvironment: ["admin", (type) => ({ parameters: active(type) })],
  resumeEnvironment: [
    "admin",
    (type) => ({ parameters: () => project({ environment: environmentOf(type, "paused") }) }),
  ],
  redeployEnvironment: ["contributor", (type) => ({ parameters: active(type) }), "unsupported"],
  branchEnvironment: ["viewer", (type) => ({ parameters: active(type) }), "unsupported"],
  synchronizeEnvironment: ["contributor", (type) => ({ parameters: active(type) }), "unsupported"],
  mergeEnvironment: ["contributor", (type) => ({ parameters: active(type) }), "unsupported"],
  deleteEnvironment: ["admin", (type) => ({ parameters: () => undeclared(type) })],
  restoreEnvironmentActivity: ["admin", (type) => ({ parameters: withBackupActivity(type) })],
  restoreActivity: ["admin", (type) => ({ parameters: withBackupActivity(type) })],
  getEnvironmentSettings: ["viewer", (type) => ({ parameters: active(type) })],
  listEnvironmentActivities: ["viewer", (type) => ({ parameters: active(type) })],
  getEnvironmentActivity: ["viewer", (type) => ({ parameters: withActivity(type) })],
  cancelEnvironmentActivity: ["admin", (type) => ({ parameters: withActivity(type) })],
  getEnvironmentActivityLog: ["viewer", (type) => ({ parameters: withActivity(type), query: "?max_delay=0" })],
  getActivity: ["viewer", (type) => ({ parameters: withActivity(type) })],
  cancelActivity: ["admin", (type) => ({ parameters: withActivity(type) })],
  getActivityLog: ["viewer", (type) => ({ parameters: withActivity(type), query: "?max_delay=0" })],
};

async function outcomeOf(name: OperationName, role: string, one: Case): Promise<Expected | number> {
  const answer = await api.call(name, (await one.parameters?.()) ?? {}, {
    token: tokens.get(role),
    body: one.body?.(),
    ...(one.query === undefined ? {} : { query: one.query }),
  });
  const refusal = Object.entries(refusals).find(([, status]) => status === answer.status);
  if (refusal !== undefined) return refusal[0] as Expected;
  if ((answer.json as { error?: string } | undefined)?.error === "OPERATION_UNSUPPORTED") return "unsupported";
  return answer.status < 300 ? "allowed" : answer.status;
}

test("the tables have every operation that needs a caller", () => {
  const needed = Object.entries(operations).flatMap(([name, { audience }]) => (audience === "anyone" ? [] : [name]));
  expect([...Object.keys(table), ...Object.keys(environmentTable)].toSorted()).toEqual(needed.toSorted());
});

describe.each(Object.keys(table) as OperationName[])("%s", (name) => {
  test("is for those that the table names", async () => {
    const [expected, one] = table[name] ?? [signedIn, {}];
    const found = await Promise.all(roles.map(async (role) => [role, await outcomeOf(name, role, one)] as const));
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(roles.map((role) => [role, expected(role)])));
  });
});

describe.each(Object.keys(environmentTable) as OperationName[])("%s", (name) => {
  test.each(environmentTypes)("of a %s environment is for those that the table names", async (type) => {
    const [least, caseOf, allowed = "allowed"] = environmentTable[name] ?? ["viewer", () => ({})];
    const expected = (role: string) => {
      const found = inEnvironment(least, type)(role);
      return found === "allowed" ? allowed : found;
    };
    const found = await Promise.all(
      roles.map(async (role) => [role, await outcomeOf(name, role, caseOf(type))] as const),
    );
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(roles.map((role) => [role, expected(role)])));
  });
});

test("what is one's own needs no role: oneself, one's tokens, one's permissions", async () => {
  for (const name of ["getUser", "listApiTokens", "listExtendedAccess", "listProjectAccess"] as const) {
    expect(await outcomeOf(name, "stranger", ofMe())).toBe("allowed");
  }
  // Not with the API token that all of them are signed in with: see api.test.ts.
  expect(await outcomeOf("createApiToken", "stranger", { ...ofMe(), body: () => ({ name: "mine" }) })).toBe("denied");
  expect(await outcomeOf("updateUser", "stranger", { ...ofMe(), body: () => ({ administrator: true }) })).toBe(
    "denied",
  );
  expect(await outcomeOf("deleteUser", "stranger", ofMe())).toBe("denied");
});

test("who may not is told the role that it needs", async () => {
  const watcher = await api.tokenOf(await api.user("watcher", ["viewer"]));
  const refused = async (name: OperationName) =>
    (await api.call(name, { project: shop, environment: "production" }, { token: watcher, body: {} })).json;
  expect(await refused("redeployEnvironment")).toMatchObject({
    detail: "It needs a contributor of production environments.",
  });
  expect(await refused("createBackup")).toMatchObject({ detail: "It needs an admin of production environments." });
});

describe("links", () => {
  /** The links that begin with "#", for who sees the thing at all. */
  async function offers(
    name: OperationName,
    role: string,
    parameters: Readonly<Record<string, string>>,
  ): Promise<readonly string[] | undefined> {
    const answer: Answer = await api.call(name, parameters, { token: tokens.get(role) });
    return answer.status === 200 ? linksOf(answer).filter((link) => link.startsWith("#")) : undefined;
  }

  test.each(environmentTypes)(
    "of a %s environment, its backups and activities are there for its admins only",
    async (type) => {
      const expected: Readonly<Record<string, readonly string[]>> = {
        active: ["#edit", "#backup", "#deactivate", "#pause"],
        inactive: ["#edit", "#activate"],
        paused: ["#edit", "#deactivate", "#resume"],
      };
      const backup = await withBackup(type)();
      const made = await withBackupActivity(type)();
      const activity = await withActivity(type)();
      const gone = await undeclared(type);
      for (const role of roles) {
        const admin = inEnvironment("admin", type)(role) === "allowed";
        const sees = inEnvironment("viewer", type)(role) === "allowed";
        const wanted = (links: readonly string[]) => (sees ? (admin ? links : []) : undefined);
        for (const status of ["active", "inactive", "paused"] as const) {
          const parameters = project({ environment: environmentOf(type, status) });
          expect(await offers("getEnvironment", role, parameters), `${role} ${status}`).toEqual(
            wanted(expected[status] ?? []),
          );
        }
        expect(await offers("getBackup", role, backup), role).toEqual(wanted(["#restore", "#delete"]));
        expect(await offers("getActivity", role, activity), role).toEqual(wanted(["#cancel"]));
        expect(await offers("getActivity", role, made), role).toEqual(wanted(["#restore"]));
        expect(await offers("getEnvironment", role, gone), role).toEqual(wanted(["#delete"]));
      }
    },
  );

  test("of the project and its settings are there for its admins only", async () => {
    for (const role of roles) {
      const admin = inProject("admin")(role) === "allowed";
      const sees = inProject("member")(role) === "allowed";
      const wanted = (links: readonly string[]) => (sees ? (admin ? links : []) : undefined);
      expect(await offers("getProject", role, project()), role).toEqual(wanted(["#manage-access"]));
      expect(await offers("getSettings", role, project()), role).toEqual(wanted(["#edit"]));
    }
  });

  test("are left out of backups that cannot be restored or are being deleted", async () => {
    const environment = environmentOf("staging");
    const damaged = await api.backup(environment, { restorable: false });
    const going = await api.backup(environment, { status: "DELETING" });
    const parameters = (backup: string) => project({ environment, backup });
    expect(await offers("getBackup", "project admin", parameters(damaged.id))).toEqual(["#delete"]);
    expect(await offers("getBackup", "project admin", parameters(going.id))).toEqual([]);
  });
});

test("lists show what the caller may see, and no more", async () => {
  const seen = async (role: string) => {
    const answer = await api.call("listEnvironments", project(), { token: tokens.get(role) });
    return new Set((answer.json as { type: string }[]).map(({ type }) => type));
  };
  expect(await seen("staging viewer")).toEqual(new Set(["staging"]));
  expect(await seen("project viewer")).toEqual(new Set(environmentTypes));
  await withActivity("production")();
  const activities = await api.call("listActivities", project(), {
    token: tokens.get("staging admin"),
    query: "?count=1000",
  });
  const environments = (activities.json as { environments: string[] }[]).flatMap((one) => one.environments);
  expect(new Set(environments.map((name) => name.replace(/-.*/, "")))).toEqual(new Set(["staging"]));
  expect((await api.call("listProjects", {}, { token: tokens.get("stranger") })).json).toEqual([]);
});

test("a backup is restored to another environment by admins of both only", async () => {
  const backup = await withBackup("production")();
  const body = () => ({ environment_name: environmentOf("development") });
  const to = (role: string) => outcomeOf("restoreBackup", role, { parameters: () => backup, body });
  expect(await to("production admin")).toBe("denied");
  expect(await to("development admin")).toBe("denied");
  expect(await to("project admin")).toBe("allowed");
});
