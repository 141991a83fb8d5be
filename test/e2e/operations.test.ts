import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type CatalogPlaces, catalogKinds, useCatalogPlaces } from "../../src/control/testing/catalog-places.ts";
import { type RunningCommand, startCommand } from "./running-server.ts";

// The commands of docs/operations.md.

const program = join(import.meta.dirname, "../../bin/holdfast.js");
const places: CatalogPlaces = useCatalogPlaces();

let folder: string;
const running: RunningCommand[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-operations-"));
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
});

/** A machine's folder with a configuration, and the site beside it. */
function machine(name: string, catalog?: string): string {
  const place = join(folder, name);
  mkdirSync(join(place, "media"), { recursive: true });
  writeFileSync(join(place, "media/picture"), "a picture");
  const url = catalog === undefined ? "" : `, catalog: "${catalog}"`;
  writeFileSync(
    join(place, "holdfast.yaml"),
    `version: 1
state: ./state
server: { listen: 127.0.0.1:0${url} }
projects:
  shop:
    repository:
      passwordFile: ./repository.key
      replicas: [{ name: disk, type: local, path: ./repository }]
    environments:
      main: { type: production, applications: { app: { mounts: { media: ./media } } } }
`,
    { mode: 0o600 },
  );
  return place;
}

const shell = (cwd: string, command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const holdfast = (cwd: string, ...args: string[]): string => shell(cwd, process.execPath, program, ...args);

/** Serves the API there; returns its URL. */
async function serve(place: string): Promise<string> {
  const server = startCommand(place, "serve");
  running.push(server);
  const [, url = ""] = await server.line(/Listening on (http:\S+)\./);
  await server.line(/Working on the activities/);
  return url;
}

const stopAll = async (): Promise<void> => {
  for (const one of running.splice(0)) expect(await one.stop()).toBe(0);
};

/** A machine user's API token. */
function makeToken(place: string): string {
  holdfast(place, "user:add", "nightly@example.com", "--machine", "--role", "admin");
  return holdfast(place, "token:create", "nightly@example.com", "nightly").trim();
}

async function ask<T>(url: string, apiToken: string, path: string): Promise<T> {
  const body = new URLSearchParams({ grant_type: "api_token", api_token: apiToken });
  const signedIn = (await (await fetch(`${url}/oauth2/token`, { method: "POST", body })).json()) as {
    readonly access_token: string;
  };
  const answer = await fetch(`${url}/projects/shop${path}`, {
    headers: { authorization: `Bearer ${signedIn.access_token}` },
  });
  expect(answer.status).toBe(200);
  return (await answer.json()) as T;
}

interface Listed {
  readonly id: string;
}

const backupsOf = (url: string, token: string): Promise<readonly Listed[]> =>
  ask(url, token, "/environments/main/backups");

/** The backups that restic sees, newest first. */
function snapshotsOf(place: string): string[] {
  const json = shell(place, "restic", "-r", "repository", "--password-file", "repository.key", "snapshots", "--json");
  const snapshots = JSON.parse(json) as readonly { readonly time: string; readonly tags: readonly string[] }[];
  return snapshots
    .toSorted((a, b) => Date.parse(b.time) - Date.parse(a.time))
    .map(({ tags }) => tags.find((tag) => tag.startsWith("backup:"))?.slice("backup:".length) ?? "");
}

describe.each(catalogKinds)("a server with its catalog on %s", (kind) => {
  test("lists after the loss of its catalog what the repository has, as before", async () => {
    const fresh = places.fresh(kind);
    const place = machine(`lost-${kind}`, "url" in fresh ? fresh.url : undefined);
    holdfast(place, "init");
    for (let n = 0; n < 2; n += 1) holdfast(place, "backup:create", "--live", "--yes");
    const url = await serve(place);
    const before = await backupsOf(url, makeToken(place));
    expect(before.map(({ id }) => id)).toEqual(snapshotsOf(place));
    await stopAll();

    if ("url" in fresh) places.sql(fresh, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    else rmSync(join(place, "state"), { recursive: true });
    const emptyUrl = await serve(place);
    const token = makeToken(place);
    expect(await backupsOf(emptyUrl, token)).toEqual([]);
    // Also beside the server, which then lists them at once.
    holdfast(place, "catalog:rebuild");
    expect(await backupsOf(emptyUrl, token)).toEqual(before);
  }, 120_000);

  test("is put back from a copy that was made while it ran", async () => {
    const fresh = places.fresh(kind);
    const place = machine(`copied-${kind}`, "url" in fresh ? fresh.url : undefined);
    holdfast(place, "init");
    holdfast(place, "backup:create", "--live", "--yes");
    const token = makeToken(place);
    const url = await serve(place);
    const file = join(place, "state/catalog.db");
    if ("url" in fresh) shell(place, "pg_dump", "--format=custom", "--file=catalog.dump", fresh.url);
    else shell(place, "sqlite3", file, ".backup 'catalog.copy'");
    holdfast(place, "backup:create", "--live", "--yes");
    const before = await backupsOf(url, token);
    expect(before).toHaveLength(2);
    await stopAll();

    if ("url" in fresh) {
      places.sql(fresh, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
      shell(place, "pg_restore", "--clean", "--if-exists", `--dbname=${fresh.url}`, "catalog.dump");
    } else {
      for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
      renameSync(join(place, "catalog.copy"), file);
    }
    const again = await serve(place);
    expect(await backupsOf(again, token)).toHaveLength(1);
    holdfast(place, "catalog:rebuild");
    // The one that was made after the copy is found again.
    expect(await backupsOf(again, token)).toEqual(before);
  }, 120_000);
});

describe("a server with its catalog in a file", () => {
  test("moves to another machine with its folders, users and tokens included", async () => {
    const old = machine("old");
    holdfast(old, "init");
    const token = makeToken(old);
    const url = await serve(old);
    holdfast(old, "backup:create", "--live", "--yes");
    const before = await backupsOf(url, token);
    await stopAll();

    const moved = machine("moved");
    for (const part of ["state", "repository", "repository.key"]) {
      cpSync(join(old, part), join(moved, part), { recursive: true, preserveTimestamps: true });
    }
    rmSync(old, { recursive: true });
    holdfast(moved, "init");
    expect(await backupsOf(await serve(moved), token)).toEqual(before);
    writeFileSync(join(moved, "media/picture"), "spoilt");
    holdfast(moved, "backup:restore", "--yes");
    expect(readFileSync(join(moved, "media/picture"), "utf8")).toBe("a picture");
  }, 120_000);

  test("is recovered from nothing but the repository and its password: by restic, and by a new Holdfast", () => {
    const lost = machine("gone");
    holdfast(lost, "init");
    holdfast(lost, "backup:create", "--live", "--yes");
    const found = machine("found");
    for (const part of ["repository", "repository.key"]) {
      cpSync(join(lost, part), join(found, part), { recursive: true });
    }
    rmSync(lost, { recursive: true });
    const restic = ["-r", "repository", "--password-file", "repository.key", "--no-cache"];
    shell(found, "restic", ...restic, "restore", "latest", "--tag", "environment:main", "--target", "restored");
    expect(readFileSync(join(found, "restored/mounts/app/media/picture"), "utf8")).toBe("a picture");

    rmSync(join(found, "media"), { recursive: true });
    mkdirSync(join(found, "media"));
    holdfast(found, "init");
    holdfast(found, "catalog:rebuild");
    holdfast(found, "backup:restore", "--yes");
    expect(readFileSync(join(found, "media/picture"), "utf8")).toBe("a picture");
  }, 60_000);

  test("is refused, unchanged, by a version that does not know its tables", () => {
    const place = machine("newer");
    holdfast(place, "init");
    const database = new DatabaseSync(join(place, "state/catalog.db"));
    database.exec("PRAGMA user_version = 999");
    database.close();
    expect(() => holdfast(place, "backup:list")).toThrow(/is of version 999; this program knows versions up to \d+/);
  }, 30_000);
});
