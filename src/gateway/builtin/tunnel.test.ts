import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { openUpgraded, RawClient } from "../conformance/raw-client.ts";
import { startTestGateway } from "../conformance/test-gateway.ts";

describe("a WebSocket through the gateway", () => {
  it("passes bytes in both directions", async () => {
    await using tested = await startTestGateway();
    const client = await openUpgraded(tested.port);
    expect(client.received).toMatch(/^HTTP\/1.1 101 /);
    client.send("hello");
    await client.until("hello");
    expect((await tested.gateway.status()).tunnelCount).toBe(1);
    client.close();
    while ((await tested.gateway.status()).tunnelCount > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  });

  it("is told what the application says instead of an upgrade", async () => {
    const plain = createServer((_request, response) => {
      response.writeHead(403);
      response.end("no sockets\n");
    }).listen(0, "127.0.0.1");
    await once(plain, "listening");
    await using tested = await startTestGateway({
      upstream: `http://127.0.0.1:${(plain.address() as AddressInfo).port}`,
    });
    const client = await openUpgraded(tested.port);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1.1 403 [^]*no sockets\n$/);
    plain.close();
    plain.closeAllConnections();
  });

  it("gets 502 when the application is down", async () => {
    await using tested = await startTestGateway();
    await tested.application.stop();
    const client = await openUpgraded(tested.port);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1.1 502 /);
  });

  it("is refused with a body, which could pass for another request", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send(
      "GET / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 30\r\n\r\nGET /hidden HTTP/1.1\r\n",
    );
    expect(await client.untilClosed()).toMatch(/^HTTP\/1.1 400 /);
    expect(tested.application.seen).toHaveLength(0);
  });

  it("is answered as plain HTTP when it asks for HTTP/2", async () => {
    await using tested = await startTestGateway();
    const client = await RawClient.connect(tested.port);
    client.send(
      "GET / HTTP/1.1\r\nHost: s\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
    );
    expect(await client.until("ok\n")).toMatch(/^HTTP\/1.1 200 /);
    client.close();
  });
});
