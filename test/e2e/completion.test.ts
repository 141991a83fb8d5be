import { execFileSync } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RunningServer } from "./running-server.ts";

let server: RunningServer;
let backup = "";

beforeAll(async () => {
  server = await RunningServer.start();
  const bin = join(server.folder, "bin");
  await mkdir(bin);
  await symlink(resolve(import.meta.dirname, "../../bin/holdfast.js"), join(bin, "holdfast"));
  backup = (await server.run(["backup:create", "-y", "--live", "--format", "plain"])).out.trim();
});
afterAll(() => server.stop());

const complete = async (line: string): Promise<string[]> => {
  const { exit, out } = await server.run(["__complete", ...line.split(" ")]);
  expect(exit).toBe(0);
  return out.split("\n").filter((word) => word !== "");
};

describe("what may come next", () => {
  test.each([
    ["backup:l", ["backup:list"]],
    ["backup:create --li", ["--live"]],
    ["-p ", ["shop"]],
    ["backup:list -e st", ["staging"]],
    ["backup:list --environment=d", ["--environment=dev"]],
    ["environment:pause m", ["main"]],
    ["backup:list --format t", ["table", "tsv"]],
    ["completion ", ["bash", "zsh"]],
    ["backup:restore --target ", ["dev", "main", "staging"]],
    ["backup:get -e nowhere ", []],
    ["backup:get -c missing.yaml ", []],
    ["nonsense --x ", ["init"]],
  ])("%s", async (line, expected) => {
    const found = await complete(line);
    if (line.startsWith("nonsense")) expect(found).toEqual(expect.arrayContaining(expected));
    else expect(found).toEqual(expected);
  });

  test("ids of backups and activities, by whoever knows them", async () => {
    expect(await complete("backup:get ")).toEqual(["latest", backup]);
    expect(await complete("activity:log ")).toHaveLength(1);
    expect(await complete("backup:get -e staging ")).toEqual(["latest"]);
  });
});

/** Types lines at a shell that has a terminal, and gives back all that the terminal showed. */
async function typed(shell: string, lines: readonly string[]): Promise<string> {
  return execFileSync("script", ["-qec", shell, "/dev/null"], {
    cwd: server.folder,
    input: [...lines, "exit", ""].join("\n"),
    encoding: "utf8",
    timeout: 50_000,
    env: {
      PATH: `${join(server.folder, "bin")}:${dirname(process.execPath)}:/usr/bin:/bin`,
      HOME: server.folder,
      TERM: "dumb",
    },
  });
}

const words = ["holdfast backup:g\t -P id lat\t", "holdfast environment:inf\t -e stag\t -P type"];

test("completes at a real bash", async () => {
  const shown = await typed("bash --norc --noprofile -i", ["source <(holdfast completion bash)", ...words]);
  expect(shown).toContain(`\n${backup}`);
  expect(shown).toMatch(/\nstaging\r/);
});

test("completes at a real zsh", async () => {
  const load = "autoload -U compinit; compinit -u -D; source <(holdfast completion zsh)";
  const shown = await typed("zsh -f -i", [load, ...words]);
  expect(shown).toContain(`\n${backup}`);
  expect(shown).toMatch(/\nstaging\r/);
});
