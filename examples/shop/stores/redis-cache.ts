import { createClient } from "redis";
import type { OrderCache, SeedFacts } from "../order.ts";
import { isBrokenConnection, withRetry } from "../retry.ts";
import { seedText } from "./seed-text.ts";

// Key and counter in one step, and only once for each order however often it is repeated.
const putScript = "if redis.call('SETNX', KEYS[1], ARGV[1]) == 1 then return redis.call('INCR', KEYS[2]) end return 0";

function passes(error: unknown): boolean {
  return (
    isBrokenConnection(error) ||
    (error instanceof Error &&
      /Socket closed|Connection timeout|^LOADING|^READONLY|^BUSY|disconnect/i.test(error.message))
  );
}

/** The cache in Redis or Valkey. Durable only with `appendonly yes` and `appendfsync always`. */
export class RedisCache implements OrderCache {
  readonly kind = "Redis";
  readonly #client: ReturnType<typeof createClient>;

  constructor(url: string) {
    this.#client = createClient({ url, socket: { reconnectStrategy: (retries) => Math.min(10 * 2 ** retries, 200) } });
    // The client connects anew by itself; without a listener a lost connection would end the process.
    this.#client.on("error", (error: Error) => process.stderr.write(`shop: Redis: ${error.message}\n`));
  }

  async prepare(): Promise<void> {
    if (!this.#client.isOpen) await this.#client.connect();
  }

  async put(id: string, sha256: string): Promise<void> {
    const script = { keys: [`order:${id}`, "orders"], arguments: [sha256] };
    await withRetry(() => this.#client.eval(putScript, script), passes);
  }

  async count(): Promise<number> {
    return Number((await withRetry(() => this.#client.get("orders"), passes)) ?? 0);
  }

  async *entries(): AsyncIterable<{ readonly id: string; readonly sha256: string }> {
    const seen = new Set<string>();
    for await (const keys of this.#client.scanIterator({ MATCH: "order:*", COUNT: 1000 })) {
      // SCAN may say a key twice.
      const fresh = keys.filter((key) => !seen.has(key));
      if (fresh.length === 0) continue;
      const values = await this.#client.mGet(fresh);
      for (const [at, key] of fresh.entries()) {
        seen.add(key);
        yield { id: key.slice("order:".length), sha256: values[at] ?? "" };
      }
    }
  }

  async loseOrders(): Promise<void> {
    for await (const keys of this.#client.scanIterator({ MATCH: "order:*", COUNT: 1000 })) {
      if (keys.length > 0) await this.#client.del(keys);
    }
    await this.#client.del("orders");
  }

  async seed(keys: number, valueBytes: number): Promise<void> {
    for (let number = (await this.seeded()).rows; number < keys;) {
      const numbers = Array.from({ length: Math.min(500, keys - number) }, (_, at) => number + at);
      const transaction = this.#client.multi();
      for (const one of numbers) transaction.set(`page:${one}`, seedText(one, valueBytes));
      transaction.hSet("pages", { rows: number + numbers.length, bytes: (number + numbers.length) * valueBytes });
      await transaction.exec();
      number += numbers.length;
    }
  }

  async seeded(): Promise<SeedFacts> {
    const pages = await this.#client.hGetAll("pages");
    return { rows: Number(pages["rows"] ?? 0), sizeBytes: Number(pages["bytes"] ?? 0) };
  }

  async close(): Promise<void> {
    if (this.#client.isOpen) await this.#client.close();
  }
}
