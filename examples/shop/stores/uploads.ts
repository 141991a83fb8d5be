import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { createReadStream } from "node:fs";
import path from "node:path";
import { codeOf } from "../retry.ts";
import { seedText } from "./seed-text.ts";

/** Files that customers uploaded, in the mount `public/media`: `orders/<two digits>/<order>.bin`. */
export class Uploads {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Writes the file of an order; durable once it resolves. */
  async put(id: string, content: Uint8Array): Promise<void> {
    const file = this.pathOf(id);
    const temporary = path.join(this.#folder, `.upload-${randomUUID()}`);
    const made = await mkdir(path.dirname(file), { recursive: true });
    await written(temporary, content);
    await rename(temporary, file);
    await synced(path.dirname(file));
    if (made !== undefined) await synced(path.dirname(made));
  }

  /** Where an order's file is. */
  pathOf(id: string): string {
    return path.join(this.#folder, "orders", id.slice(0, 2), `${id}.bin`);
  }

  /** Ids of the orders that have a file. */
  async *ids(): AsyncIterable<string> {
    const root = path.join(this.#folder, "orders");
    for (const part of await namesIn(root)) {
      for (const name of await namesIn(path.join(root, part))) {
        if (name.endsWith(".bin")) yield name.slice(0, -".bin".length);
      }
    }
  }

  /** Deletes the files of all orders, as a mishap would. */
  async loseOrders(): Promise<void> {
    await rm(path.join(this.#folder, "orders"), { recursive: true, force: true });
  }

  /** SHA-256 of an order's file as it is on the disk. */
  async digest(id: string): Promise<string> {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(this.pathOf(id))) hash.update(chunk as Buffer);
    return hash.digest("hex");
  }

  /** Makes `files` pictures of about `fileBytes` that no order belongs to. What is there already stays. */
  async seed(files: number, fileBytes: number): Promise<void> {
    for (let part = 0; part * 500 < files; part += 1) {
      const folder = path.join(this.#folder, "catalogue", String(part).padStart(4, "0"));
      await mkdir(folder, { recursive: true });
      const there = new Set(await namesIn(folder));
      for (let number = part * 500; number < Math.min(files, (part + 1) * 500); number += 1) {
        const name = `${number}.txt`;
        if (there.has(name)) continue;
        // Some are ten times as large as others, as files are.
        const content = seedText(number, Math.round(fileBytes * (number % 10 === 0 ? 5.5 : 0.5)));
        const handle = await open(path.join(folder, name), "w");
        await handle.writeFile(content);
        await handle.close();
      }
    }
  }

  /** How many seed files there are. */
  async seeded(): Promise<number> {
    const root = path.join(this.#folder, "catalogue");
    let files = 0;
    for (const part of await namesIn(root)) files += (await namesIn(path.join(root, part))).length;
    return files;
  }
}

async function written(file: string, content: Uint8Array): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, "wx");
    await handle.writeFile(content);
    await handle.sync();
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  } finally {
    await handle?.close();
  }
}

async function synced(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    return [];
  }
}
