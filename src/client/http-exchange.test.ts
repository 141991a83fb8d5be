import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { HoldfastError } from "../base/index.ts";
import { ApiClient, type ApiClientOptions } from "./api-client.ts";

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

async function clientOf(listener: RequestListener, options: Partial<ApiClientOptions> = {}): Promise<ApiClient> {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return new ApiClient({ address: { kind: "url", url }, signal: new AbortController().signal, ...options });
}

const parameters = { project: "shop", environment: "main" };
const never: RequestListener = (request) => void request.resume();

/** What the process's signal is aborted with. */
const interrupted = new HoldfastError("INTERRUPTED", "Interrupted by SIGINT. What was begun has been undone.");

test.each<[string, RequestListener]>([
  ["before its answer", () => undefined],
  ["in the midst of its answer", (_, response) => void response.writeHead(202, { "content-length": 9 }).write("{")],
])("a request that changes something, interrupted %s, is not said to be undone", async (_, answer) => {
  const abort = new AbortController();
  const client = await clientOf(
    (request, response) => {
      request.resume().once("end", () => {
        answer(request, response);
        setImmediate(() => abort.abort(interrupted));
      });
    },
    { signal: abort.signal },
  );
  await expect(client.call("createBackup", { parameters, body: {} })).rejects.toMatchObject({
    code: "INTERRUPTED",
    message: expect.stringContaining("whether it does what was asked is not known") as unknown,
    remedy: expect.stringContaining("holdfast activity:list") as unknown,
  });
});

test("a request that reads, or that never was sent, is interrupted with the process's own words", async () => {
  const abort = new AbortController();
  const client = await clientOf(() => abort.abort(interrupted), { signal: abort.signal });
  await expect(client.call("listBackups", { parameters })).rejects.toBe(interrupted);
  await expect(client.call("createBackup", { parameters, body: {} })).rejects.toBe(interrupted);
});

test("a server that never answers is waited for less long by what reads than by what changes something", async () => {
  const reader = await clientOf(never, { readHeadMs: 50 });
  await expect(reader.call("listBackups", { parameters })).rejects.toMatchObject({
    code: "SERVER_UNREACHABLE",
    message: expect.stringContaining("cannot be reached: no answer came for 0.05 s") as unknown,
  });
  const changer = await clientOf(never, { readHeadMs: 50, silenceMs: 300 });
  await expect(changer.call("createBackup", { parameters, body: {} })).rejects.toMatchObject({
    code: "SERVER_UNREACHABLE",
    message: expect.stringMatching(/came for 0.3 s\): whether it does what was asked is not known/) as unknown,
  });
});
