import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import type { Site } from "../../examples/shop/site.ts";
import { type ProjectId, systemClock } from "../../src/base/index.ts";
import { openCatalog } from "../../src/control/index.ts";

/** What the real restic finds, reading everything; empty if it finds no fault. */
export function resticProblems(site: Site): string[] {
  const repository = ["-r", path.join(site.folder, "repository")];
  const password = ["--password-file", path.join(site.folder, "repository.key")];
  const { status, stdout, stderr } = spawnSync(
    "nice",
    ["restic", ...repository, ...password, "--no-cache", "check", "--read-data"],
    { encoding: "utf8" },
  );
  if (status === 0 && stdout.includes("no errors were found")) return [];
  return [`restic check --read-data: exit ${status}: ${stdout.slice(-1000)} ${stderr.slice(-1000)}`];
}

/** The catalog has to list exactly the snapshots that are in the repository. */
export async function catalogProblems(site: Site): Promise<string[]> {
  const catalog = await openCatalog({ file: path.join(site.folder, "state/catalog.db") }, { clock: systemClock });
  try {
    const listed = (await catalog.list("shop" as ProjectId)).map(({ snapshot }) => snapshot).toSorted();
    const there = readdirSync(path.join(site.folder, "repository/snapshots")).toSorted();
    if (listed.join() === there.join()) return [];
    return [`the catalog lists ${listed.join(", ")}, the repository has ${there.join(", ")}`];
  } finally {
    await catalog.close();
  }
}
