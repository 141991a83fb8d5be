import { chmod, mkdtemp, readdir, rm, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkShop, readJournal } from "./checker.ts";
import { seedShop } from "./seed.ts";
import { type ShopServices, startServices } from "./services.ts";
import { type ShopProcess, startShop } from "./shop-process.ts";
import { Shop } from "./shop.ts";
import { type AcknowledgedOrder, startTraffic } from "./traffic.ts";

/** A folder that the servers' users can reach. */
const makeFolder = async (): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), "holdfast-shop-test-"));
  await chmod(folder, 0o755);
  return folder;
};

const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
};

describe.each([
  ["the servers that are installed", false],
  ["SQLite alone", true],
])("the shop on %s", (_what, sqliteOnly) => {
  let folder = "";
  let services: ShopServices;
  let server: ShopProcess;

  beforeAll(async () => {
    folder = await makeFolder();
    services = await startServices({ folder, sqliteOnly });
    server = await startShop(services.config);
  });

  afterAll(async () => {
    await server.stop();
    await services.stop();
    expect(services.pids.filter(alive)).toEqual([]);
    await rm(folder, { recursive: true });
  });

  const check = async (options: Parameters<typeof checkShop>[1] = {}) => {
    const shop = await Shop.open(services.config);
    try {
      return await checkShop(shop, options);
    } finally {
      await shop.close();
    }
  };

  const form = (fields: Record<string, string> = {}): FormData => {
    const data = new FormData();
    for (const [name, value] of Object.entries({ customer: "Ada <3", product: "mug", quantity: "2", ...fields })) {
      data.set(name, value);
    }
    data.set("photo", new Blob(["a photo"]), "photo.jpg");
    return data;
  };

  it("takes an order, shows it, and has it in every store", async () => {
    const placed = await fetch(`${server.url}/orders`, { method: "POST", body: form() });
    expect(placed.status).toBe(201);
    const { id } = (await placed.json()) as { id: string };
    expect(await (await fetch(`${server.url}/orders/${id}`)).json()).toMatchObject({ id, quantity: 2, shipped: true });
    expect(await (await fetch(`${server.url}/media/${id}`)).text()).toBe("a photo");
    const html = await (await fetch(server.url)).text();
    expect(html).toContain(id.slice(0, 8));
    expect(html).toContain("Ada &lt;3");
    expect(await (await fetch(`${server.url}/health`)).json()).toEqual({ status: "ok" });
    expect(await check()).toMatchObject({
      agrees: true,
      counts: { orders: 1, shipments: 1, cache: 1, counter: 1, files: 1 },
    });
  });

  it.each([
    ["no form", "text", 400],
    ["no quantity", form({ quantity: "many" }), 400],
    ["eleven megabytes", new Uint8Array(11 * 1024 * 1024), 413],
  ])("refuses %s", async (_name, body, status) => {
    const answered = await fetch(`${server.url}/orders`, { method: "POST", body });
    expect(answered.status).toBe(status);
  });

  it("finds its way past no path", async () => {
    for (const url of ["/orders/..%2f..%2fetc", "/media/../../server.ts", "/nothing"]) {
      expect((await fetch(server.url + url)).status).toBe(404);
    }
  });

  it("answers customers on time, and has all that it acknowledged", async () => {
    const journalPath = path.join(folder, "journal");
    const traffic = startTraffic({ url: server.url, journalPath, requestsPerSecond: 50 });
    while (traffic.report().acknowledged < 30) await new Promise((resolve) => setTimeout(resolve, 10));
    // What a restore does to the connections of a PostgreSQL database.
    const { db } = services.entries;
    if (db.type === "postgresql") {
      const admin = new Client({ connectionString: db.url });
      await admin.connect();
      await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'");
      await admin.end();
    }
    while (traffic.report().acknowledged < 60) await new Promise((resolve) => setTimeout(resolve, 10));
    const report = await traffic.stop();
    expect(report.failures).toEqual([]);
    const checked = await check({ journalPath });
    expect(checked).toMatchObject({ agrees: true, acknowledgedChecked: report.acknowledged });
  });

  it("is found out when a store has lost something", async () => {
    const journalPath = path.join(folder, "journal");
    const journal: AcknowledgedOrder[] = [];
    for await (const order of readJournal(journalPath)) journal.push(order);
    const [first, second] = journal;
    const shop = await Shop.open(services.config);
    await unlink(shop.uploads.pathOf(first?.id ?? ""));
    await shop.close();
    const report = await check({ journalPath });
    expect(report).toMatchObject({
      agrees: false,
      faults: [{ id: first?.id, fault: "not in files" }],
      lost: [first?.id],
    });
    const earlier = await check({ journalPath, acknowledgedBeforeMs: first?.answeredAtMs ?? 0 });
    expect(earlier).toMatchObject({ lost: [], acknowledgedChecked: 0 });
    expect(second?.id).not.toBe(first?.id);
  });

  it("is filled to a size, once", async () => {
    const shop = await Shop.open(services.config);
    const size = { databaseBytes: 100_000, files: 700, filesBytes: 700_000 };
    await seedShop(shop, size);
    await seedShop(shop, size);
    await shop.close();
    expect((await check()).seeded).toEqual({
      ordersRows: 13,
      ordersBytes: 104_000,
      shipmentsRows: 13,
      shipmentsBytes: 104_000,
      cacheKeys: 25,
      files: 700,
    });
  });
});

describe("the shop's servers", () => {
  it("keep their data over a restart", async () => {
    const folder = await makeFolder();
    for (let round = 1; round <= 2; round += 1) {
      const services = await startServices({ folder });
      const shop = await Shop.open(services.config);
      await shop.place({ customer: "Ada", product: "mug", quantity: 1, upload: Buffer.from("photo") });
      expect((await checkShop(shop)).counts).toMatchObject({ orders: round, shipments: round, counter: round });
      await shop.close();
      await services.stop();
    }
    await rm(folder, { recursive: true });
  });

  it("go when the process that started them is killed", async () => {
    const folder = await makeFolder();
    const program = `
      import { startServices } from ${JSON.stringify(path.join(import.meta.dirname, "services.ts"))};
      console.log(JSON.stringify((await startServices({ folder: process.argv[1] })).pids));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program, "--", folder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [text] = (await once(child.stdout, "data")) as [Buffer];
    const pids = JSON.parse(text.toString()) as number[];
    expect(pids.every(alive)).toBe(true);
    child.kill("SIGKILL");
    while (pids.some(alive)) await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await readdir(folder)).length).toBeGreaterThan(0);
    await rm(folder, { recursive: true });
  });
});
