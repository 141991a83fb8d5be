import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createRepository, openRepository, type Repository } from "../../src/repository/index.ts";
import { LocalBackend } from "../../src/storage/index.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-keys-"));
  await createRepository(new LocalBackend(folder), { password: "first" });
});
afterAll(() => rm(folder, { recursive: true }));

function restic(password: string, ...args: string[]): string {
  const env = { ...process.env, RESTIC_PASSWORD: password, RESTIC_REPOSITORY: folder };
  return execFileSync("restic", ["--no-cache", "--quiet", ...args], { env, encoding: "utf8", stdio: "pipe" });
}

const resticKeys = (password: string): { id: string; current: boolean }[] =>
  JSON.parse(restic(password, "key", "list", "--json")) as { id: string; current: boolean }[];

async function opened<T>(password: string, use: (repository: Repository) => Promise<T>): Promise<T> {
  const repository = await openRepository(new LocalBackend(folder), { password, workers: 1 });
  try {
    return await use(repository);
  } finally {
    await repository.close();
  }
}

it("adds, lists and removes passwords, and restic agrees at each step", async () => {
  const second = await opened("first", (repository) => repository.addKey("sécond"));
  for (const password of ["first", "sécond"]) {
    const ours = await opened(password, (repository) => repository.keys());
    const theirs = resticKeys(password);
    expect(theirs.map(({ id }) => id).toSorted()).toEqual(ours.map(({ id }) => id.slice(0, 8)).toSorted());
    expect(theirs.find(({ current }) => current)?.id).toBe(ours.find(({ inUse }) => inUse)?.id.slice(0, 8));
  }
  expect((await opened("sécond", (repository) => repository.keys())).at(-1)?.id).toBe(second);
  const first = (await opened("first", (repository) => repository.keys())).find(({ inUse }) => inUse)?.id ?? "";
  await opened("sécond", (repository) => repository.removeKey(first));
  expect(() => restic("first", "snapshots")).toThrow(/wrong password/);
  expect(restic("sécond", "check")).toBe("");
});

it("never removes the last key, nor the one in use unless that is said", async () => {
  await opened("sécond", async (repository) => {
    const [key] = await repository.keys();
    const id = key?.id ?? "";
    await expect(repository.removeKey(id)).rejects.toMatchObject({ code: "INPUT_INVALID" });
    await expect(repository.removeKey(id, { evenInUse: true })).rejects.toThrow(/is the last one/);
    await expect(repository.removeKey("ab".repeat(32))).rejects.toThrow(/has no key/);
    await repository.addKey("third");
    await repository.removeKey(id, { evenInUse: true });
  });
  expect(resticKeys("third")).toHaveLength(1);
  await expect(opened("sécond", async () => undefined)).rejects.toMatchObject({ code: "REPOSITORY_PASSWORD_WRONG" });
});

it("opens with a key that restic added", async () => {
  const script =
    'f=$(mktemp) && printf "fourth\\n" > "$f" && restic --no-cache key add --new-password-file "$f"; rm "$f"';
  execFileSync("sh", ["-c", script], {
    env: { ...process.env, RESTIC_PASSWORD: "third", RESTIC_REPOSITORY: folder },
    stdio: "pipe",
  });
  expect(await opened("fourth", (repository) => repository.keys())).toHaveLength(2);
});
