import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster, environments } from "../../deploy/cluster/cluster.ts";

// The example of deploy/cluster, as it is: PostgreSQL, HAProxy, two API servers, three workers, a gateway.

let folder: string;
let cluster: Cluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-cluster-test-"));
  cluster = await Cluster.start(folder);
}, 120_000);
afterAll(async () => {
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

const namesOf = async (environment: string): Promise<string[]> =>
  (await cluster.ask<readonly { readonly id: string }[]>(`/projects/shop/environments/${environment}/backups`))
    .map(({ id }) => id)
    .toSorted();

test("every environment is backed up by the worker of its machine, and what the API lists is what the repository has", async () => {
  const asked = await Promise.all(environments.map((name) => cluster.backUp(name, name === "main")));
  const ended = await Promise.all(asked.map((id) => cluster.end(id)));
  expect(ended.map(({ state, result }) => [state, result])).toEqual(environments.map(() => ["complete", "success"]));
  expect(ended[0]?.log).toMatch(/hold: drained in .* 0 failed/);
  const stats = JSON.parse(await cluster.command(1, "repo:stats", "--format", "json")) as {
    readonly backups: readonly { readonly backup: string }[];
  };
  const stored = stats.backups.map((one) => one.backup).toSorted();
  const listed = await Promise.all(environments.map(namesOf));
  expect(listed.map((names) => names.length)).toEqual([1, 1, 1]);
  expect(listed.flat().toSorted()).toEqual(stored);
}, 60_000);

test("an API server lists what a backup of another machine holds", async () => {
  const [backup = ""] = await namesOf("staging");
  const files = await cluster.ask<readonly { readonly name_base64: string }[]>(
    `/projects/shop/environments/staging/backups/${backup}/files?path=${encodeURIComponent("mounts/app/media")}`,
  );
  expect(files.map((file) => Buffer.from(file.name_base64, "base64").toString())).toEqual(["picture"]);
}, 60_000);

test("the balancer gives a request its id, whatever id its client sends", async () => {
  const response = await fetch(`${cluster.url}/health`, { headers: { "x-request-id": "chosen-by-a-client" } });
  expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
}, 60_000);

test("requests go on when one API server is killed, and to it again when it is back", async () => {
  for (const victim of ["api-1", "api-2"] as const) {
    const port = cluster.portOf(victim);
    await cluster.stopMember(victim, "SIGKILL");
    expect(await cluster.ask("/projects/shop")).toMatchObject({ id: "shop" });
    const before = await namesOf("dev");
    expect(await cluster.end(await cluster.backUp("dev", false))).toMatchObject({ result: "success" });
    expect(await namesOf("dev")).not.toEqual(before);
    await cluster.startMember(victim, port);
    await cluster.serves(victim);
  }
}, 120_000);

test("what is asked for while a machine's worker is dead is done when it is back", async () => {
  await cluster.stopMember("worker-2", "SIGKILL");
  const media = join(folder, "staging/media/picture");
  const [id] = await namesOf("staging");
  await writeFile(media, "spoilt");
  const restore = await cluster.restore("staging", String(id));
  expect(await cluster.ask(`/projects/shop/activities/${restore}`)).toMatchObject({ state: "pending" });
  expect(await cluster.end(await cluster.backUp("dev", false))).toMatchObject({ result: "success" });
  await cluster.startMember("worker-2");
  expect(await cluster.end(restore)).toMatchObject({ result: "success" });
  expect(await readFile(media, "utf8")).toBe("a picture of staging");
}, 60_000);
