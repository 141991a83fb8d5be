import type { Command } from "commander";
import { HoldfastError } from "../../base/index.ts";
import { type ProjectPermission, projectPermissions } from "../../control/index.ts";
import type { AccessPlane, ListedToken, ListedUser } from "../access-plane.ts";
import { chooseProject } from "../choose.ts";
import { type Invocation, say } from "../offline/session.ts";
import { openAccessPlane } from "../open-control-plane.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatTimestamp } from "../output/moment.ts";
import type { Column } from "../output/table.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";

interface AddOptions {
  readonly role: readonly string[];
  readonly machine: boolean;
  readonly administrator: boolean;
}

/** Whoever may run commands on the server may give rights: the way in when nobody can sign in any more. */
export function registerUserCommands(program: Command, run: RunCommand): void {
  addDataOptions(
    program.command("user:list").alias("users").description("List the server's users and what they may do"),
  ).action(run((invocation, options: DataOptions) => listUsers(invocation, options)));
  program
    .command("user:add")
    .description("Make a user, or give one exactly these permissions in the project")
    .argument("<email>", "the user's e-mail address")
    .option(
      "-r, --role <role>",
      "admin, viewer, TYPE:admin, TYPE:contributor or TYPE:viewer; several times",
      collect,
      [],
    )
    .option("--machine", "a machine user, which signs in with API tokens", false)
    .option("--administrator", "may do everything in every project", false)
    .action(run((invocation, options: AddOptions, email = "") => addUser(invocation, options, email)));
  program
    .command("user:delete")
    .description("Delete a user with their tokens and permissions")
    .argument("<email>", "the user's e-mail address")
    .action(run((invocation, _options: unknown, email = "") => deleteUser(invocation, email)));
  program
    .command("token:create")
    .description("Make an API token, print it, and never show it again")
    .argument("<email>", "the user")
    .argument("<name>", "what it is for")
    .action(run((invocation, _options: unknown, email = "", name = "") => createToken(invocation, email, name)));
  addDataOptions(
    program.command("token:list").description("List a user's API tokens").argument("<email>", "the user"),
  ).action(run((invocation, options: DataOptions, email = "") => listTokens(invocation, options, email)));
  program
    .command("token:delete")
    .description("Revoke an API token, at once")
    .argument("<email>", "the user")
    .argument("<id>", "the token")
    .action(run((invocation, _options: unknown, email = "", id = "") => deleteToken(invocation, email, id)));
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

interface UserRow {
  readonly user: ListedUser;
  /** "shop: viewer development:admin", one for each project. */
  readonly permissions: readonly string[];
}

const userColumns: readonly Column<UserRow>[] = [
  { name: "email", header: "Email address", cell: ({ user }) => user.email },
  { name: "kind", header: "Kind", cell: ({ user }) => user.kind },
  { name: "permissions", header: "Permissions", cell: ({ permissions }) => permissions.join("; ") },
  { name: "id", header: "ID", cell: ({ user }) => user.id },
  { name: "created_at", header: "Created", cell: ({ user }) => formatTimestamp(user.createdAt) },
];

async function listUsers(invocation: Invocation, options: DataOptions): Promise<number> {
  return withAccess(invocation, async (access) => {
    const rows: UserRow[] = [];
    for (const user of await access.users()) {
      const grants = await access.permissionsOf(user);
      rows.push({
        user,
        permissions: [
          ...(user.administrator ? ["administrator"] : []),
          ...grants.map(({ project, permissions }) => `${project}: ${permissions.join(" ")}`),
        ],
      });
    }
    const json = ({ user, permissions }: UserRow): Record<string, unknown> => ({
      id: user.id,
      email: user.email,
      display_name: user.displayName,
      machine: user.kind === "machine",
      administrator: user.administrator,
      permissions,
      created_at: formatTimestamp(user.createdAt),
    });
    const defaultColumns = ["email", "kind", "permissions", "id"];
    invocation.host.stdout.write(renderData({ columns: userColumns, defaultColumns, rows, json }, options));
    return 0;
  });
}

async function addUser(invocation: Invocation, options: AddOptions, email: string): Promise<number> {
  const roles = options.role.map((role) => permissionOf(role));
  return withAccess(invocation, async (access) => {
    // Before anything is made: which project is meant may not be clear.
    const project = roles.length === 0 ? undefined : chooseProject(await access.projects(), invocation.options.project);
    const { machine, administrator } = options;
    const there = await access.userByEmail(email);
    if (there !== undefined && machine && there.kind !== "machine") {
      throw new HoldfastError("USER_EXISTS", `${there.email} is a person already.`, { facts: { email: there.email } });
    }
    const { user, signInLink } =
      there === undefined
        ? await access.createUser({ email, machine, administrator })
        : { user: there, signInLink: undefined };
    if (there !== undefined && administrator) await access.makeAdministrator(there);
    if (project !== undefined) {
      const permissions = await access.setPermissions(project.id, user, roles);
      say(invocation, `${user.email} has in the project ${project.id}: ${permissions.join(", ")}.`);
    }
    if (user.kind === "machine") {
      say(invocation, `Make a token for it:  holdfast token:create ${user.email} NAME`);
    } else if (!user.hasPassword) {
      const link = signInLink ?? (await access.signInLink(user));
      say(invocation, "With this link, which serves once, they set their password (valid for 72 hours):");
      invocation.host.stdout.write(`${link}\n`);
    }
    return 0;
  });
}

async function deleteUser(invocation: Invocation, email: string): Promise<number> {
  return withAccess(invocation, async (access) => {
    const user = await findUser(access, email);
    say(invocation, `Deleting ${user.email} with all tokens and permissions.`);
    if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
    await access.deleteUser(user);
    say(invocation, `${user.email} has been deleted.`);
    return 0;
  });
}

async function createToken(invocation: Invocation, email: string, name: string): Promise<number> {
  return withAccess(invocation, async (access) => {
    const user = await findUser(access, email);
    const { id, secret } = await access.createToken(user, name);
    say(invocation, `The token ${id} of ${user.email}, which is shown this once:`);
    invocation.host.stdout.write(`${secret}\n`);
    return 0;
  });
}

const tokenColumns: readonly Column<ListedToken>[] = [
  { name: "id", header: "ID", cell: ({ id }) => id },
  { name: "name", header: "Name", cell: ({ name }) => name },
  { name: "created_at", header: "Created", cell: ({ createdAt }) => formatTimestamp(createdAt) },
  {
    name: "last_used_at",
    header: "Last used",
    cell: ({ lastUsedAt }) => (lastUsedAt === null ? "never" : formatTimestamp(lastUsedAt)),
  },
];

async function listTokens(invocation: Invocation, options: DataOptions, email: string): Promise<number> {
  return withAccess(invocation, async (access) => {
    const rows = await access.tokens(await findUser(access, email));
    const json = ({ id, name, createdAt, lastUsedAt }: ListedToken): Record<string, unknown> => ({
      id,
      name,
      created_at: formatTimestamp(createdAt),
      last_used_at: lastUsedAt === null ? null : formatTimestamp(lastUsedAt),
    });
    const defaultColumns = tokenColumns.map(({ name }) => name);
    invocation.host.stdout.write(renderData({ columns: tokenColumns, defaultColumns, rows, json }, options));
    return 0;
  });
}

async function deleteToken(invocation: Invocation, email: string, id: string): Promise<number> {
  return withAccess(invocation, async (access) => {
    await access.deleteToken(await findUser(access, email), id);
    say(invocation, `The token ${id} has been revoked.`);
    return 0;
  });
}

async function withAccess(invocation: Invocation, run: (access: AccessPlane) => Promise<number>): Promise<number> {
  await using access = await openAccessPlane(invocation);
  return await run(access);
}

async function findUser(access: AccessPlane, email: string): Promise<ListedUser> {
  const user = await access.userByEmail(email);
  if (user !== undefined) return user;
  throw new HoldfastError("USER_NOT_FOUND", `There is no user ${email}.`, {
    facts: { email },
    remedy: "See which there are:  holdfast user:list",
  });
}

function permissionOf(role: string): ProjectPermission {
  const permission = projectPermissions.find((one) => one === role);
  if (permission !== undefined) return permission;
  throw new HoldfastError("INPUT_INVALID", `There is no role "${role}".`, {
    remedy: `Roles: ${projectPermissions.join(", ")}`,
  });
}
