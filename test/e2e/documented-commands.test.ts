import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Outcome, RunningServer } from "./running-server.ts";
import { runProgram, upsunEnvironment, upsunProgram } from "./upsun.ts";

// The commands of the documents that Holdfast was conceived from, letter by letter as docs/upsun-cli.md has them.

const page = resolve(import.meta.dirname, "../../docs/upsun-cli.md");
const ours = resolve(import.meta.dirname, "../../bin/holdfast.js");

interface Expected {
  readonly exit: number;
  readonly says: readonly RegExp[];
}

interface DocumentedCommand {
  readonly command: string;
  readonly upsun: Expected;
  readonly holdfast: Expected;
}

const documented = commandsIn(await readFile(page, "utf8"));

/** A command, and after it a table with a row for each CLI: its exit code, and in backquotes what it says. */
function commandsIn(text: string): readonly DocumentedCommand[] {
  return Array.from(text.matchAll(/```sh\n(.*?)```\n\n(.*?\n)\n/gs), ([, command = "", table = ""]) => ({
    command,
    upsun: rowOf(table, "Upsun's"),
    holdfast: rowOf(table, "Holdfast's"),
  }));
}

function rowOf(table: string, cli: string): Expected {
  const [, exit, says = ""] = new RegExp(String.raw`^\| ${cli} +\| (\d+) +\| (.*) \|$`, "m").exec(table) ?? [];
  if (exit === undefined) throw new Error(`docs/upsun-cli.md does not say what ${cli} CLI does: ${table}`);
  return { exit: Number(exit), says: Array.from(says.matchAll(/`([^`]+)`/g), ([, one = ""]) => patternOf(one)) };
}

function patternOf(text: string): RegExp {
  const parts = text.split(/\bID\b/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(parts.join("[a-z2-7]{26}"));
}

/** The machine user of the documents' cron job, who may make backups, and somebody who may change settings. */
const users = { cron: ["viewer", "production:admin"], ann: ["admin"] } as const;

let server: RunningServer;
let home = "";
const tokens = new Map<keyof typeof users, string>();

beforeAll(async () => {
  server = await RunningServer.start();
  await server.becomeAdministrator();
  for (const name of ["cron", "ann"] as const) tokens.set(name, await server.machineUser(name, users[name]));
  home = await mkdtemp(join(tmpdir(), "holdfast-documents-"));
  for (const [folder, program] of Object.entries({ upsun: upsunProgram, holdfast: ours })) {
    await mkdir(join(home, folder));
    // The documents are of different years, and the CLI had another name.
    for (const name of ["upsun", "platform"]) await symlink(program, join(home, folder, name));
  }
  await mkdir(join(home, "checkout/.upsun/local"), { recursive: true });
  await writeFile(join(home, "checkout/.upsun/local/project.yaml"), "id: shop\n");
  const git = await runProgram(
    "/usr/bin/git",
    ["init", "--quiet", "--initial-branch", "main", join(home, "checkout")],
    {
      cwd: home,
      env: { HOME: home, PATH: "/usr/bin:/bin" },
    },
  );
  expect(git.exit).toBe(0);
});
afterAll(async () => {
  await server.stop();
  await rm(home, { recursive: true });
});

const isCron = (command: string): boolean => command.includes("$PLATFORM_ENVIRONMENT_TYPE");

/** As a script, without a terminal: what the job's environment has says the rest. */
const inCron = { PLATFORM_ENVIRONMENT_TYPE: "production", PLATFORM_PROJECT: "shop", PLATFORM_BRANCH: "main" };

/** Typed at a terminal by somebody who says yes, or run by cron. */
async function type(
  command: string,
  cli: "upsun" | "holdfast",
  where: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<Outcome> {
  const env = { ...where.env, PATH: `${join(home, cli)}:${process.env["PATH"] ?? ""}` };
  if (isCron(command)) {
    return runProgram("/bin/sh", ["-c", command], { cwd: where.cwd, env: { ...env, ...inCron } });
  }
  const script = join(home, "typed.sh");
  await writeFile(script, command);
  const onTerminal = `echo y | script --quiet --return --command "sh ${script}" /dev/null`;
  return runProgram("/bin/sh", ["-c", onTerminal], { cwd: where.cwd, env });
}

function check(command: string, outcome: Outcome, { exit, says }: Expected): void {
  // Colours, and where the line was wrapped.
  const said = stripVTControlCharacters(`${outcome.err}${outcome.out}`).replaceAll(/\s+/g, " ");
  expect(outcome.exit, `${command}\n${said}`).toBe(exit);
  for (const pattern of says) expect(said).toMatch(pattern);
}

test("all of the documents' commands are there", () => {
  expect(documented.map(({ command }) => command.split("\n")[0])).toEqual([
    "platform backup:create",
    "upsun backup:create",
    "platform backup:create --live",
    "upsun backup:create --live",
    'if [ "$PLATFORM_ENVIRONMENT_TYPE" = production ]; then',
    String.raw`upsun project:curl settings -X PATCH \ `.trimEnd(),
    String.raw`upsun project:curl settings -X PATCH \ `.trimEnd(),
    `upsun project:curl /settings -X PATCH -d '{"data_retention": {"production": {"max_backups": 10}}}'`,
    `upsun project:curl /settings -X PATCH -d '{"data_retention": {"production": {"default_config":  {"manual_count": 1}}}}'`,
  ]);
});

describe("Upsun's CLI", () => {
  test.each(documented)(
    "$command",
    async ({ command, upsun }) => {
      const token = tokens.get(isCron(command) ? "cron" : "ann") ?? "";
      const { UPSUN_CLI_NO_INTERACTION: _never, ...env } = upsunEnvironment(server.url, home, token);
      const cwd = isCron(command) ? home : join(home, "checkout");
      check(command, await type(command, "upsun", { cwd, env }), upsun);
    },
    60_000,
  );

  test("with a cron line in another type of environment does nothing", async () => {
    const { command = "" } = documented.find((one) => isCron(one.command)) ?? {};
    const env = { ...inCron, PATH: "/usr/bin:/bin", PLATFORM_ENVIRONMENT_TYPE: "staging" };
    expect(await runProgram("/bin/sh", ["-c", command], { cwd: home, env })).toEqual({ exit: 0, out: "", err: "" });
  });
});

describe.each(["where the server is", "on another machine"])("Holdfast's CLI %s", (place) => {
  // As the documents' commands found them.
  beforeAll(async () => {
    const reset = await server.run(["project:curl", "/settings", "-X", "PATCH", "-d", '{"data_retention":null}']);
    expect(reset.exit).toBe(0);
  });

  test.each(documented)(
    "$command",
    async ({ command, holdfast }) => {
      const token = tokens.get(isCron(command) ? "cron" : "ann") ?? "";
      const where =
        place === "where the server is"
          ? { cwd: server.folder, env: { TZ: "UTC" } }
          : { cwd: home, env: { TZ: "UTC", HOLDFAST_SERVER: server.url, HOLDFAST_TOKEN: token } };
      check(command, await type(command, "holdfast", where), holdfast);
    },
    60_000,
  );
});
