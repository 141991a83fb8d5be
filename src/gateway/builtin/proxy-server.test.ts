import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { RawClient } from "../conformance/raw-client.ts";
import { startTestGateway } from "../conformance/test-gateway.ts";

const headersOf = (rawHeaders: readonly string[]): Record<string, string> => {
  const headers: Record<string, string> = {};
  for (let at = 0; at < rawHeaders.length; at += 2) {
    headers[(rawHeaders[at] ?? "").toLowerCase()] = rawHeaders[at + 1] ?? "";
  }
  return headers;
};

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
};

describe("a request through the gateway", () => {
  it("reaches the application with forwarded headers and without hop-by-hop ones", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send(
      "GET http://shop/p?q=1 HTTP/1.1\r\nHost: shop\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\n" +
        "Proxy-Authorization: Basic eA==\r\nTE: trailers\r\nX-Forwarded-For: 10.0.0.1\r\nX-Kept: a\r\nX-Kept: b\r\n\r\n",
    );
    expect(await client.untilClosed()).toContain("ok\n");
    const [seen] = tested.application.seen;
    expect(seen?.url).toBe("/p?q=1");
    expect(seen?.rawHeaders.filter((text) => text === "X-Kept")).toHaveLength(2);
    const headers = headersOf(seen?.rawHeaders ?? []);
    expect(headers).toMatchObject({
      host: "shop",
      "x-forwarded-for": "10.0.0.1, 127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "shop",
      te: "trailers",
    });
    for (const name of ["x-secret", "keep-alive", "proxy-authorization"]) expect(headers).not.toHaveProperty(name);
  });

  it("overwrites forwarded headers where nothing in front is trusted", async () => {
    await using tested = await startTestGateway({ forwarded: "replace" });
    const headers = { "x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https", forwarded: "for=6.6.6.6" };
    await (await fetch(tested.url, { headers })).text();
    const seen = headersOf(tested.application.seen[0]?.rawHeaders ?? []);
    expect(seen).toMatchObject({ "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http" });
    expect(seen).not.toHaveProperty("forwarded");
  });

  it.each(["with a length", "chunked"])("streams a body of 20 MB, %s, both ways unchanged", async (how) => {
    await using tested = await startTestGateway();
    const piece = randomBytes(1024 * 1024);
    const request = httpRequest(`${tested.url}/echo`, {
      method: "POST",
      headers: how === "chunked" ? {} : { "content-length": 20 * piece.length },
    });
    const sent = createHash("sha256");
    const answered = once(request, "response");
    const sending = (async () => {
      for (let n = 0; n < 20; n += 1) {
        sent.update(piece);
        if (!request.write(piece)) await once(request, "drain");
      }
      request.end();
    })();
    const [response] = (await answered) as [AsyncIterable<Buffer>];
    const got = createHash("sha256");
    for await (const chunk of response) got.update(chunk);
    await sending;
    expect(got.digest("hex")).toBe(sent.digest("hex"));
  });

  it("passes trailers in both directions", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send(
      "POST /echo HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
        "5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
    );
    expect(await client.untilClosed()).toMatch(/hello\r\n0\r\nX-Sum: 42\r\n/i);
  });

  it("lets the application say 100 before the body is sent", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send("POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    await client.until("HTTP/1.1 100 Continue");
    client.send("hello");
    expect(await client.until("hello")).toContain("HTTP/1.1 200 OK");
    client.close();
  });

  it("answers HEAD and bodiless requests without waiting for a body", async () => {
    await using tested = await startTestGateway();
    expect((await fetch(tested.url, { method: "HEAD" })).status).toBe(200);
    for (const method of ["POST", "DELETE", "OPTIONS", "PATCH"]) {
      expect(await (await fetch(tested.url, { method })).text()).toBe("ok\n");
    }
    const last = headersOf(tested.application.seen.at(-1)?.rawHeaders ?? []);
    expect(last["content-length"]).toBe("0");
  });

  it("answers an HTTP/1.0 client without chunks, and closes", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send("GET /stream?n=2&ms=1 HTTP/1.0\r\n\r\n");
    expect(await client.untilClosed()).toMatch(/\r\n\r\npiece 0\npiece 1\n$/);
  });

  it("passes a stream's head and pieces on as they come", async () => {
    await using tested = await startTestGateway();
    const response = await fetch(`${tested.url}/stream?n=3&ms=150`);
    const times: number[] = [];
    for await (const chunk of response.body ?? []) if (chunk.length > 0) times.push(performance.now());
    expect(times.length).toBe(3);
    expect((times[2] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(200);
  });

  it("answers pipelined requests one after another, in order", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send("GET /slow?ms=50 HTTP/1.1\r\nHost: s\r\n\r\nGET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n");
    expect((await client.untilClosed()).indexOf("slow\n")).toBeLessThan(client.received.indexOf("ok\n"));
    const [first, second] = tested.application.seen;
    expect(second?.startedAtMs).toBeGreaterThanOrEqual(first?.endedAtMs ?? Number.POSITIVE_INFINITY);
  });

  it("keeps connections open on both sides", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    for (let n = 1; n <= 3; n += 1) {
      client.received = "";
      client.send("GET / HTTP/1.1\r\nHost: s\r\n\r\n");
      await client.until("ok\n");
    }
    client.close();
    expect(tested.application.seen).toHaveLength(3);
    expect(tested.application.connections).toBe(1);
  });
});

describe("a body that the application does not read", () => {
  it("is taken off the client only as far as the buffers go", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    const sizeBytes = 64 * 1024 * 1024;
    client.send(`POST /hang HTTP/1.1\r\nHost: s\r\nContent-Length: ${sizeBytes}\r\n\r\n`);
    const piece = Buffer.alloc(64 * 1024);
    let sent = 0;
    const more = (): void => {
      while (sent < sizeBytes) {
        sent += piece.length;
        if (!client.socket.write(piece)) return;
      }
    };
    client.socket.on("drain", more);
    more();
    await until(() => tested.application.running === 1);
    let before = -1;
    // Until a while has passed in which nothing went out.
    while (before !== sent) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(sent).toBeLessThan(sizeBytes / 2);
    client.close();
  });
});

describe("a client that leaves", () => {
  it("ends its request at the application", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send("GET /hang HTTP/1.1\r\nHost: s\r\n\r\n");
    await until(() => tested.application.running === 1);
    client.close();
    await until(() => tested.application.running === 0);
    expect((await tested.gateway.status()).runningCount).toBe(0);
  });

  it("leaves a write that the application has got whole running, and a drain waits for it", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send("POST /slow?ms=300 HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nhi");
    await until(() => tested.application.running === 1);
    client.close();
    const hold = await tested.gateway.hold({ owner: "test", drainTimeoutMs: 5000, holdTimeoutMs: 9000 });
    expect(tested.application.running).toBe(0);
    expect((await hold.release()).drainMs).toBeGreaterThan(150);
  });
});

describe("an application that fails", () => {
  it("may answer before it has read the body", async () => {
    const hasty = createServer((_request, response) => {
      response.writeHead(413);
      response.end("too large\n");
    }).listen(0, "127.0.0.1");
    await once(hasty, "listening");
    await using tested = await startTestGateway({
      upstream: `http://127.0.0.1:${(hasty.address() as AddressInfo).port}`,
    });
    const answered = await fetch(tested.url, { method: "POST", body: new Uint8Array(8 * 1024 * 1024) });
    expect([answered.status, await answered.text()]).toEqual([413, "too large\n"]);
    hasty.close();
    hasty.closeAllConnections();
  });

  it("is read only as fast as the client reads", async () => {
    let written = 0;
    const eager = createServer((_request, response) => {
      const piece = Buffer.alloc(64 * 1024);
      const more = (): void => {
        while (written < 256 * 1024 * 1024) {
          written += piece.length;
          if (!response.write(piece)) return;
        }
        response.end();
      };
      response.on("drain", more);
      more();
    }).listen(0, "127.0.0.1");
    await once(eager, "listening");
    await using tested = await startTestGateway({
      upstream: `http://127.0.0.1:${(eager.address() as AddressInfo).port}`,
    });
    const client = await RawClient.connect(tested.port);
    client.socket.pause();
    client.send("GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    let before = -1;
    // Until a while has passed in which the application wrote nothing.
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(written).toBeGreaterThan(0);
    expect(written).toBeLessThan(64 * 1024 * 1024);
    client.close();
    eager.close();
    eager.closeAllConnections();
  });

  it("gives 502 when it is down", async () => {
    await using tested = await startTestGateway();
    await tested.application.stop();
    expect((await fetch(tested.url)).status).toBe(502);
    expect((await fetch(tested.url, { method: "POST", body: "x".repeat(1_000_000) })).status).toBe(502);
  });

  it("gives 504 when it does not answer in time", async () => {
    await using tested = await startTestGateway({ responseTimeout: "200ms" });
    expect((await fetch(`${tested.url}/hang`)).status).toBe(504);
    await until(() => tested.application.running === 0);
  });

  it("breaks the response off when it dies in the middle, so that no client takes half for the whole", async () => {
    const broken = createTcpServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
    }).listen(0, "127.0.0.1");
    await once(broken, "listening");
    const { port } = broken.address() as AddressInfo;
    await using tested = await startTestGateway({ upstream: `http://127.0.0.1:${port}` });
    const response = await fetch(tested.url);
    await expect(response.text()).rejects.toThrow("terminated");
    broken.close();
  });

  it("gives 502 for an answer that is no HTTP", async () => {
    const broken = createTcpServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", () => socket.end("what?\r\n\r\n"));
    }).listen(0, "127.0.0.1");
    await once(broken, "listening");
    const { port } = broken.address() as AddressInfo;
    await using tested = await startTestGateway({ upstream: `http://127.0.0.1:${port}` });
    expect((await fetch(tested.url)).status).toBe(502);
    broken.close();
  });

  it("repeats a read that met a connection which the application had just closed", async () => {
    // It closes each connection as the second request on it arrives, as a server whose idle time is over may.
    const closing = createServer((_request, response) => response.end("ok\n"));
    closing.on("connection", (socket) => {
      let requests = 0;
      socket.prependListener("data", () => {
        requests += 1;
        if (requests === 2) socket.resetAndDestroy();
      });
    });
    closing.listen(0, "127.0.0.1");
    await once(closing, "listening");
    await using tested = await startTestGateway({
      upstream: `http://127.0.0.1:${(closing.address() as AddressInfo).port}`,
    });
    for (let n = 0; n < 5; n += 1) expect((await fetch(tested.url)).status).toBe(200);
    closing.close();
    closing.closeAllConnections();
  });
});

describe("a hostile client", () => {
  it.each([
    [
      "a length and chunks",
      "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["two lengths", "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"],
    ["two hosts", "GET / HTTP/1.1\r\nHost: s\r\nHost: t\r\n\r\n"],
    ["no host", "GET / HTTP/1.1\r\n\r\n"],
    ["a folded header", "GET / HTTP/1.1\r\nHost: s\r\nX-A: 1\r\n Content-Length: 5\r\n\r\n"],
    ["a space before the colon", "POST / HTTP/1.1\r\nHost: s\r\nContent-Length : 5\r\n\r\nhello"],
    ["chunked that is not last", "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"],
    ["a line feed without a return", "GET / HTTP/1.1\nHost: s\n\n"],
  ])("is refused with %s, and nothing reaches the application", async (_what, text) => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send(text);
    expect(await client.until("\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
    expect(tested.application.seen).toHaveLength(0);
    client.close();
  });

  it("is refused with a coding other than chunked", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send("POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    expect(await client.untilClosed()).toMatch(/^HTTP\/1.1 501 /);
    expect(tested.application.seen).toHaveLength(0);
  });

  it("gets 431 for huge headers", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send(`GET / HTTP/1.1\r\nHost: s\r\nX-A: ${"a".repeat(40_000)}\r\n\r\n`);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1.1 431 /);
  });

  it("gets 408 for headers that trickle in", async () => {
    await using tested = await startTestGateway({ headerTimeout: "300ms" });
    const client = await RawClient.connect(tested.port);
    client.send("GET / HTTP/1.1\r\nHost: s\r\n");
    const trickle = setInterval(() => client.send("X-A: 1\r\n"), 50);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1.1 408 /);
    clearInterval(trickle);
  });

  it("gets no tunnel with CONNECT", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send("CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n");
    expect(await client.untilClosed()).toMatch(/^HTTP\/1.1 405 /);
  });
});
