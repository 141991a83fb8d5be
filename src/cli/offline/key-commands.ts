import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { HoldfastError } from "../../base/index.ts";
import type { PasswordSource } from "../../config/index.ts";
import type { HexId, KeyInfo, Repository } from "../../repository/index.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatTimestamp } from "../output/moment.ts";
import type { Column } from "../output/table.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, say, Session } from "./session.ts";

/** Passwords come by file or variable: a command line is seen by every process of the machine. */
interface NewPasswordOptions {
  readonly newPasswordFile?: string;
  readonly newPasswordVariable?: string;
}

export function registerKeyCommands(program: Command, run: RunCommand): void {
  addDataOptions(program.command("repo:key:list").description("List the keys: each is one password")).action(
    run((invocation, options: DataOptions) => list(invocation, options)),
  );
  addNewPassword(
    program.command("repo:key:add").description("Let a further password open the repository"),
    "made with a new password if it is missing",
  ).action(run((invocation, options: NewPasswordOptions) => add(invocation, options)));
  program
    .command("repo:key:remove")
    .description("Remove a key: its password opens the repository no more")
    .argument("<id>", "the key, or the start of its id")
    .option("--in-use", "even the key that this command itself opens the repository with", false)
    .action(run((invocation, options: { readonly inUse: boolean }, id = "") => remove(invocation, id, options.inUse)));
  addNewPassword(
    program.command("repo:key:password").description("Change the password in the configuration's passwordFile"),
    "default: a new random password",
  ).action(run((invocation, options: NewPasswordOptions) => changePassword(invocation, options)));
}

function addNewPassword(command: Command, ifMissing: string): Command {
  return command
    .option("--new-password-file <file>", `file whose first line is the new password (${ifMissing})`)
    .option("--new-password-variable <name>", "environment variable that holds the new password");
}

const keyColumns: readonly Column<KeyInfo>[] = [
  { name: "in_use", header: "In use", cell: ({ inUse }) => (inUse ? "*" : ""), exact: ({ inUse }) => String(inUse) },
  { name: "id", header: "Key ID", cell: ({ id }) => id.slice(0, 8), exact: ({ id }) => id },
  { name: "username", header: "User", cell: ({ username }) => username ?? "(unreadable)" },
  { name: "hostname", header: "Host", cell: ({ hostname }) => hostname ?? "" },
  {
    name: "created_at",
    header: "Created",
    cell: ({ createdAt }) => (createdAt === undefined ? "" : formatTimestamp(createdAt)),
  },
];

const keyJson = ({ id, inUse, username, hostname, createdAt }: KeyInfo): Record<string, unknown> => ({
  id,
  in_use: inUse,
  username: username ?? null,
  hostname: hostname ?? null,
  created_at: createdAt === undefined ? null : formatTimestamp(createdAt),
});

async function list(invocation: Invocation, options: DataOptions): Promise<number> {
  await using session = await Session.open(invocation);
  const rows = await (await session.repository()).keys();
  const table = { columns: keyColumns, defaultColumns: keyColumns.map(({ name }) => name), rows, json: keyJson };
  invocation.host.stdout.write(renderData(table, options));
  return 0;
}

async function add(invocation: Invocation, options: NewPasswordOptions): Promise<number> {
  await using session = await Session.open(invocation);
  const repository = await session.repository();
  const { composition, host } = invocation;
  const source = newPasswordSource(invocation, options);
  if (source === undefined) {
    throw new HoldfastError("INPUT_INVALID", "There is no new password.", {
      remedy: "Say where it is: --new-password-file FILE, or --new-password-variable NAME",
    });
  }
  let password = await composition.readPassword(source, host.signal);
  if (password === undefined && source.kind === "file") {
    // The file first: a key whose password was never kept opens nothing.
    password = composition.newPassword();
    await composition.writePasswordFile(source.file, password);
    say(invocation, `Made ${source.file} with a new password. Keep a copy of it.`);
  }
  const id = await repository.addKey(password ?? "");
  say(invocation, `Added the key ${id.slice(0, 8)}. Its password opens the repository.`);
  host.stdout.write(`${id}\n`);
  return 0;
}

async function remove(invocation: Invocation, wanted: string, evenInUse: boolean): Promise<number> {
  await using session = await Session.open(invocation);
  const repository = await session.repository();
  const key = await findKey(repository, wanted);
  if (key.inUse && !evenInUse) {
    throw new HoldfastError("INPUT_INVALID", `The key ${key.id.slice(0, 8)} is the one that this command uses.`, {
      facts: { key: key.id },
      remedy: "Point the configuration at another password first, or say --in-use.",
    });
  }
  await repository.removeKey(key.id, { evenInUse });
  say(invocation, `Removed the key ${key.id.slice(0, 8)}: its password opens the repository no more.`);
  if (key.inUse) say(invocation, "The configuration still names its password: change it, or nothing opens any more.");
  return 0;
}

async function findKey(repository: Repository, wanted: string): Promise<KeyInfo> {
  const found = (await repository.keys()).filter(({ id }) => wanted !== "" && id.startsWith(wanted));
  const [key, ...more] = found;
  if (key !== undefined && more.length === 0) return key;
  throw new HoldfastError(
    "INPUT_INVALID",
    `${found.length === 0 ? "No key's id starts" : "Several keys' ids start"} with "${wanted}".`,
    {
      facts: { key: wanted },
      remedy: "See which there are:  holdfast repo:key:list",
    },
  );
}

/**
 * Killed between any two steps, the password file holds a password that opens the repository: the next password is kept
 * beside it, then gets its key, then takes the file's place, and only then the old key goes.
 */
async function changePassword(invocation: Invocation, options: NewPasswordOptions): Promise<number> {
  await using session = await Session.open(invocation);
  const { password: source } = session.project.repository;
  const { composition, host } = invocation;
  if (source.kind !== "file") {
    throw new HoldfastError(
      "INPUT_INVALID",
      `The password comes from the ${composition.describePassword(session.project)}.`,
      {
        remedy: "Add the new one with repo:key:add, change what gives the password, then repo:key:remove the old key.",
      },
    );
  }
  const repository = await session.repository();
  const next = `${source.file}.new`;
  const given = newPasswordSource(invocation, options);
  const begun = existsSync(next)
    ? await composition.readPassword({ kind: "file", file: next }, host.signal)
    : undefined;
  const password =
    given === undefined ? (begun ?? composition.newPassword()) : await composition.readPassword(given, host.signal);
  if (password === undefined) {
    throw new HoldfastError("INPUT_INVALID", `There is no file ${options.newPasswordFile ?? ""}.`);
  }
  if (password !== begun) await composition.writePasswordFile(next, password);
  const old = (await repository.keys()).filter(({ inUse }) => inUse);
  const id = await repository.addKey(password);
  await composition.writePasswordFile(source.file, password);
  await composition.removePasswordFile(next);
  for (const key of old) await repository.removeKey(key.id, { evenInUse: true });
  report(invocation, source.file, id);
  return 0;
}

function report(invocation: Invocation, file: string, id: HexId): void {
  say(invocation, `The password in ${file} is a new one (key ${id.slice(0, 8)}); the old one opens nothing any more.`);
  say(invocation, "Replace the copy of it that you keep elsewhere.");
}

function newPasswordSource(
  { host }: Invocation,
  { newPasswordFile, newPasswordVariable }: NewPasswordOptions,
): PasswordSource | undefined {
  if (newPasswordFile !== undefined && newPasswordVariable !== undefined) {
    throw new HoldfastError("INPUT_INVALID", "The new password comes from a file or a variable, not both.");
  }
  if (newPasswordVariable !== undefined) return { kind: "variable", name: newPasswordVariable };
  return newPasswordFile === undefined ? undefined : { kind: "file", file: resolve(host.cwd, newPasswordFile) };
}
