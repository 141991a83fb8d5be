import { hostname } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../base/index.ts";
import { openCatalog } from "../control/index.ts";
import { folder, holdfast, useShop } from "./testing/shop-commands.ts";

useShop();

async function audited(): Promise<readonly string[]> {
  const catalog = await openCatalog({ file: join(folder, "state/catalog.db") }, { clock: systemClock });
  try {
    const entries = await catalog.access.auditTrail.list({ limit: 100 });
    expect(new Set(entries.map(({ author }) => author.name))).toEqual(new Set([`command line on ${hostname()}`]));
    return entries
      .toReversed()
      .map(({ action, environment, facts }) => `${action} ${environment} ${JSON.stringify(facts)}`);
  } finally {
    await catalog.close();
  }
}

test("what commands change on the server itself is in the audit trail; what was declined or refused is not", async () => {
  await holdfast("init");
  const id = /^Backup name: (\w+)\n$/.exec((await holdfast("backup:create main --live --yes")).out)?.[1] ?? "";
  const commands = [
    "environment:activate staging",
    `backup:restore ${id} --target staging --no-code --yes`,
    `backup:restore ${id} --only mount:app/media --into out`,
    "environment:pause staging",
    "environment:resume staging",
    `backup:delete ${id} --yes`,
  ];
  expect((await holdfast(`backup:delete ${id}`)).exit).toBe(1);
  expect((await holdfast("backup:create staging --live --yes")).exit).toBe(1);
  expect((await holdfast(`backup:restore ${id}`)).exit).toBe(1);
  for (const line of commands) expect((await holdfast(line)).exit, line).toBe(0);
  const restored = { backup: id, source_environment: "main" };
  expect(await audited()).toEqual([
    `environment.backup main ${JSON.stringify({ backup: id, safe: false, automated: false })}`,
    "environment.activate staging {}",
    `environment.restore staging ${JSON.stringify({ ...restored, restore_code: false })}`,
    `backup.restore-into main ${JSON.stringify({ ...restored, restore_code: true, only: "mount:app/media", into: join(folder, "out") })}`,
    "environment.pause staging {}",
    "environment.resume staging {}",
    `environment.backup.delete main ${JSON.stringify({ backup: id })}`,
  ]);
});
