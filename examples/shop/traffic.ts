// Customers: so many requests a second, a share of them orders, sent on time whether or not earlier ones are answered,
// as real ones are. Each acknowledged order goes into a journal.
//   node examples/shop/traffic.ts URL JOURNAL [requests a second] [seconds]
import { createWriteStream, type WriteStream } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { finished } from "node:stream/promises";

/** A line of the journal: an order that the shop acknowledged. Times are milliseconds since 1970. */
export interface AcknowledgedOrder {
  readonly id: string;
  readonly sha256: string;
  readonly sentAtMs: number;
  readonly answeredAtMs: number;
}

export interface TrafficOptions {
  /** Of the gateway or the shop. */
  readonly url: string;
  /** File to which acknowledged orders are appended, a JSON object a line. */
  readonly journalPath: string;
  readonly requestsPerSecond: number;
  /** Share of requests that are orders, 0 to 1. Default a half. */
  readonly orderShare?: number;
  /** Requests that fall due while so many run are not sent at all. Default no limit. */
  readonly mostRunning?: number;
  /** Largest upload; sizes are spread below it. Default 20 kB. */
  readonly largestUploadBytes?: number;
}

/** What the customers saw. Latencies count from when a request was due. */
export interface TrafficReport {
  readonly requests: number;
  readonly acknowledged: number;
  /** The first 100 of them, as text. */
  readonly failures: readonly string[];
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

/** Traffic that runs until it is stopped. */
export interface Traffic {
  /** So far. */
  report(): TrafficReport;
  /** Forgets latencies, counts and failures so far, for a new measurement. The journal goes on. */
  reset(): void;
  /** Sends no more, waits for all answers, closes the journal. Idempotent. */
  stop(): Promise<TrafficReport>;
}

const boundary = "----print-shop-form";
const products = ["postcard", "poster", "mug"];

/** Starts sending. */
export function startTraffic(options: TrafficOptions): Traffic {
  return new Customers(options);
}

class Customers implements Traffic {
  readonly #options: TrafficOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  readonly #journal: WriteStream;
  readonly #timer: NodeJS.Timeout;
  readonly #running = new Set<Promise<void>>();
  readonly #startedAtMs = performance.now();
  #sent = 0;
  #newestId: string | undefined;
  #latencies: number[] = [];
  #acknowledged = 0;
  #failed = 0;
  #failures: string[] = [];
  #stopped: Promise<TrafficReport> | undefined;

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.#journal = createWriteStream(options.journalPath, { flags: "a" });
    this.#timer = setInterval(() => this.#sendDue(), 5);
  }

  report(): TrafficReport {
    const sorted = Float64Array.from(this.#latencies).toSorted();
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return {
      requests: sorted.length + this.#failed,
      acknowledged: this.#acknowledged,
      failed: this.#failed,
      failures: [...this.#failures],
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      longestMs: at(1),
    };
  }

  reset(): void {
    this.#latencies = [];
    this.#acknowledged = 0;
    this.#failed = 0;
    this.#failures = [];
  }

  stop(): Promise<TrafficReport> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<TrafficReport> {
    clearInterval(this.#timer);
    await Promise.all(this.#running);
    this.#agent.destroy();
    this.#journal.end();
    await finished(this.#journal);
    return this.report();
  }

  #sendDue(): void {
    const { requestsPerSecond, orderShare = 0.5, mostRunning = Infinity } = this.#options;
    const dueCount = ((performance.now() - this.#startedAtMs) / 1000) * requestsPerSecond;
    for (; this.#sent < dueCount; this.#sent += 1) {
      const dueAtMs = this.#startedAtMs + (this.#sent / requestsPerSecond) * 1000;
      if (this.#running.size >= mostRunning) continue;
      // Spread evenly, so that the share holds over any stretch of time.
      const isOrder = Math.floor((this.#sent + 1) * orderShare) > Math.floor(this.#sent * orderShare);
      const running = this.#send(isOrder, dueAtMs).finally(() => this.#running.delete(running));
      this.#running.add(running);
    }
  }

  async #send(isOrder: boolean, dueAtMs: number): Promise<void> {
    const path = isOrder ? "/orders" : this.#pageToRead();
    const sentAtMs = Date.now();
    try {
      const { status, text } = await this.#exchange(path, isOrder ? this.#form() : undefined);
      // A restore takes orders back, and their photos with them.
      const takenBack = !isOrder && path !== "/" && status === 404;
      if (status !== (isOrder ? 201 : 200) && !takenBack) throw new Error(`${status} ${text.slice(0, 100)}`);
      this.#latencies.push(performance.now() - dueAtMs);
      if (!isOrder) return;
      const { id, sha256 } = JSON.parse(text) as { id: string; sha256: string };
      const order: AcknowledgedOrder = { id, sha256, sentAtMs, answeredAtMs: Date.now() };
      this.#acknowledged += 1;
      this.#newestId = id;
      if (!this.#journal.write(`${JSON.stringify(order)}\n`)) await once(this.#journal, "drain");
    } catch (error) {
      this.#failed += 1;
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#failures.length < 100) this.#failures.push(`${isOrder ? "POST" : "GET"} ${path}: ${reason}`);
    }
  }

  #pageToRead(): string {
    const id = this.#sent % 3 === 0 ? this.#newestId : undefined;
    this.#newestId = undefined;
    return id === undefined ? "/" : `/media/${id}`;
  }

  #form(): Buffer {
    const largest = this.#options.largestUploadBytes ?? 20_000;
    const fields = {
      customer: `customer ${this.#sent % 97}`,
      product: products[this.#sent % 3] ?? "mug",
      quantity: "2",
    };
    const parts = Object.entries(fields).map(([name, value]) => {
      return `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    });
    const head = `${parts.join("")}--${boundary}\r\ncontent-disposition: form-data; name="photo"; filename="photo.jpg"\r\ncontent-type: image/jpeg\r\n\r\n`;
    const photo = randomBytes(1 + Math.floor(Math.random() * largest));
    return Buffer.concat([Buffer.from(head), photo, Buffer.from(`\r\n--${boundary}--\r\n`)]);
  }

  #exchange(path: string, body: Buffer | undefined): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const headers = { "content-type": `multipart/form-data; boundary=${boundary}`, "content-length": body?.length };
      const request = httpRequest(
        this.#options.url + path,
        body === undefined ? { agent: this.#agent } : { agent: this.#agent, method: "POST", headers },
        (response) => {
          let text = "";
          response.setEncoding("latin1");
          response.on("data", (chunk: string) => {
            text += chunk;
          });
          response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
          response.on("error", reject);
        },
      );
      request.on("error", reject);
      request.end(body);
    });
  }
}

if (import.meta.main) {
  const [url = "", journalPath = "", requestsPerSecond = "50", seconds = "10"] = process.argv.slice(2);
  const traffic = startTraffic({ url, journalPath, requestsPerSecond: Number(requestsPerSecond) });
  const timer = setTimeout(() => process.emit("SIGINT"), Number(seconds) * 1000);
  await once(process, "SIGINT");
  clearTimeout(timer);
  process.stdout.write(`${JSON.stringify(await traffic.stop(), null, 2)}\n`);
}
