import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const units = join(root, "deploy/systemd");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-deploy-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("the systemd units", () => {
  const names = readdirSync(units).filter((name) => name.endsWith(".service"));

  test("are four, and systemd finds no fault in them", () => {
    expect(names).toEqual([
      "holdfast-api.service",
      "holdfast-gateway@.service",
      "holdfast-worker.service",
      "holdfast.service",
    ]);
    for (const name of names) {
      // Where it is installed is not here.
      const text = readFileSync(join(units, name), "utf8").replaceAll("/opt/holdfast", root);
      writeFileSync(join(folder, name), text);
    }
    const { status, stderr } = spawnSync(
      "systemd-analyze",
      ["verify", "--man=no", ...names.map((name) => join(folder, name))],
      { encoding: "utf8" },
    );
    // It also complains of what else is installed on the machine.
    expect(stderr.split("\n").filter((line) => line.includes(folder) || /holdfast/.test(line))).toEqual([]);
    expect(status).toBe(0);
  });

  test.each([
    ["holdfast-api.service", 20],
    ["holdfast-gateway@.service", 20],
    ["holdfast-worker.service", 30],
    ["holdfast.service", 30],
  ])("leave %s an exposure below %d of 100", (name, threshold) => {
    execFileSync("systemd-analyze", ["security", "--offline=yes", `--threshold=${threshold}`, join(units, name)], {
      stdio: "ignore",
    });
  });

  test("let all that open repositories write their locks into the folder of them that is documented", () => {
    for (const name of names.filter((one) => !one.startsWith("holdfast-gateway"))) {
      expect(readFileSync(join(units, name), "utf8"), name).toMatch(/^ReadWritePaths=-\/var\/backups\/holdfast$/m);
    }
  });

  test("run commands that the program has", () => {
    for (const name of names) {
      const [, args = ""] = /^ExecStart=\S+ (.*)$/m.exec(readFileSync(join(units, name), "utf8")) ?? [];
      const command = args.replace("%i", "main").split(" ").slice(2);
      const program = join(root, "bin/holdfast.js");
      // Help is for whoever names a command that is there.
      const help = execFileSync(process.execPath, [program, command[0] ?? "", "--help"], { encoding: "utf8" });
      for (const option of command.filter((word) => word.startsWith("--"))) expect(help).toContain(option);
    }
  });
});

test("the container file copies what there is, and runs the program that is built", () => {
  const text = readFileSync(join(root, "deploy/Containerfile"), "utf8");
  const copied = [...text.matchAll(/^COPY --from=build (.*) \S+$/gm)].flatMap(([, sources = ""]) => sources.split(" "));
  expect(copied.length).toBeGreaterThan(5);
  for (const source of copied) {
    const path = source.replace("/build/", "");
    // What the build makes is not there before it.
    if (path !== "dist") expect(existsSync(join(root, path)), source).toBe(true);
  }
  expect(text).toContain("ln -s /opt/holdfast/bin/holdfast.js /usr/local/bin/holdfast");
  expect(text).toContain('ENTRYPOINT ["holdfast"]');
});

test("the wrapper for commands is a shell script without a fault", () => {
  execFileSync("sh", ["-n", join(units, "holdfast")]);
});
