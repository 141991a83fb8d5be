import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { FileReadHistory } from "./read-history.ts";

let folder: string;
const [one, two, three] = ["1", "2", "3"].map((digit) => digit.repeat(64)) as [string, string, string];
const all = (): boolean => true;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-reads-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("keeps the later of two reads and forgets packs that are gone", async () => {
  const place = join(folder, "made", "when-needed");
  expect((await new FileReadHistory(place).load()).size).toBe(0);
  await new FileReadHistory(place).add(
    new Map([
      [one, 100],
      [two, 200],
    ]),
    all,
  );
  await new FileReadHistory(place).add(
    new Map([
      [one, 50],
      [three, 300],
    ]),
    (pack) => pack !== two,
  );
  expect([...(await new FileReadHistory(place).load())]).toEqual([
    [one, 100],
    [three, 300],
  ]);
  expect(await readdir(place)).toEqual(["pack-reads.json"]);
});

it.each([
  "",
  "{",
  "[]",
  '{"packs":7}',
  '{"packs":{"x":1}}',
  `{"packs":{"${one}":"soon"}}`,
  `{"packs":{"${one}":1e12}}`,
])("counts everything as never read if it holds %s", async (text) => {
  await writeFile(join(folder, "pack-reads.json"), text);
  const history = new FileReadHistory(folder);
  expect((await history.load()).size).toBe(0);
  await history.add(new Map([[two, 5]]), all);
  expect([...(await history.load())]).toEqual([[two, 5]]);
});
