import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A TCP connection that sends what it is told and keeps what comes, for tests of what no proper client sends. */
export class RawClient {
  readonly socket: Socket;
  received = "";

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("latin1").on("data", (text: string) => {
      this.received += text;
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    // A gateway may cut a hostile connection off; what it had said before is what counts.
    const client = new RawClient(socket);
    socket.on("error", () => socket.destroy());
    return client;
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Resolves with all that came once it contains `text`, or the connection has ended. */
  async until(text: string): Promise<string> {
    while (!this.received.includes(text)) {
      if (this.socket.closed) throw new Error(`closed before "${text}" came: ${JSON.stringify(this.received)}`);
      await new Promise<void>((resolve) => {
        const go = (): void => {
          this.socket.off("data", go).off("close", go);
          resolve();
        };
        this.socket.on("data", go).on("close", go);
      });
    }
    return this.received;
  }

  /** Resolves with all that came once the other side has closed. */
  async untilClosed(): Promise<string> {
    // Not `once`, which gives up at an error: one that is cut off while it still sends gets a reset after the last words.
    if (!this.socket.closed) await new Promise<void>((resolve) => this.socket.once("close", () => resolve()));
    return this.received;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Opens a WebSocket, or anything like one: bytes pass as they are after the handshake. */
export async function openUpgraded(port: number, path = "/ws"): Promise<RawClient> {
  const client = await RawClient.connect(port);
  client.send(
    `GET ${path} HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await client.until("\r\n\r\n");
  return client;
}
