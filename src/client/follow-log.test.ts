import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { systemClock } from "../base/index.ts";
import { ApiClient } from "./api-client.ts";
import { followLog } from "./follow-log.ts";

test("a log that is followed over a connection that breaks after every line has each line once", async () => {
  const asked: number[] = [];
  const server = createServer((request, response) => {
    const from = Number(new URL(request.url ?? "", "http://x").searchParams.get("start_at"));
    asked.push(from);
    const line = { _id: String(from), data: { timestamp: "2026-11-21T04:12:00Z", message: `line ${from}\n` } };
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const last = from === 3;
    response.write(`${JSON.stringify(last ? { ...line, seal: true } : line)}\n`, () => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { signal } = new AbortController();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new ApiClient({ address: { kind: "url", url }, signal });
  const messages: string[] = [];
  for await (const { message } of followLog(client, { project: "p", activity: "a", clock: systemClock, signal })) {
    messages.push(message);
  }
  server.close();
  expect(messages).toEqual(["line 0\n", "line 1\n", "line 2\n"]);
  expect(asked).toEqual([0, 1, 2, 3]);
});
