// The shop's web server. Configuration: see `shopConfigFrom`, and SHOP_LISTEN_PORT (default any free one) on the
// loopback address. Prints {"port": N} once it answers. SIGTERM finishes the running requests.
import { type FileHandle, open } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { page } from "./page.ts";
import { codeOf } from "./retry.ts";
import { type NewOrder, Shop, shopConfigFrom } from "./shop.ts";

const largestUpload = 10 * 1024 * 1024;
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What the client did wrong; answered with `status`. */
class RequestError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const shop = await Shop.open(shopConfigFrom(process.env));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? "/", "http://shop");
  const [, first = "", id = ""] = pathname.split("/");
  switch (`${request.method} /${first}`) {
    case "GET /": {
      const stores = [shop.orders.kind, shop.shipments.kind, shop.cache.kind];
      sendText(response, 200, "text/html; charset=utf-8", page(await shop.orders.newest(20), stores));
      return;
    }
    case "GET /health":
      await Promise.all([shop.orders.newest(1), shop.shipments.newest(1), shop.cache.count()]);
      sendJson(response, 200, { status: "ok" });
      return;
    case "POST /orders": {
      const order = await shop.place(await readOrder(request));
      response.setHeader("location", `/orders/${order.id}`);
      sendJson(response, 201, { id: order.id, sha256: order.sha256 });
      return;
    }
    case "GET /orders": {
      const order = uuid.test(id) ? await shop.orders.find(id) : undefined;
      const shipment = order === undefined ? undefined : await shop.shipments.find(id);
      if (order === undefined) throw new RequestError(404, "There is no such order.");
      sendJson(response, 200, { ...order, shipped: shipment !== undefined });
      return;
    }
    case "GET /media":
      if (!uuid.test(id)) throw new RequestError(404, "There is no such photo.");
      await sendPhoto(response, id);
      return;
    default:
      throw new RequestError(404, "There is no such page.");
  }
}

async function readOrder(request: IncomingMessage): Promise<NewOrder> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    // Read on to its end all the same: a client that still sends does not listen.
    if (sizeBytes <= largestUpload) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (sizeBytes > largestUpload) throw new RequestError(413, "The photo is too large: 10 MB at most.");
  const headers = { "content-type": request.headers["content-type"] ?? "" };
  let form: FormData;
  try {
    form = await new Response(Buffer.concat(chunks), { headers }).formData();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new RequestError(400, "An order is a multipart form.");
  }
  const [customer, product, photo] = [form.get("customer"), form.get("product"), form.get("photo")];
  const quantity = Number(form.get("quantity"));
  if (typeof customer !== "string" || typeof product !== "string" || photo === null || typeof photo === "string") {
    throw new RequestError(400, "An order has a customer, a product, a quantity and a photo.");
  }
  if (!Number.isInteger(quantity) || quantity < 1 || quantity > 1000) throw new RequestError(400, "1 to 1000 of them.");
  return { customer: customer.slice(0, 200), product: product.slice(0, 200), quantity, upload: await photo.bytes() };
}

async function sendPhoto(response: ServerResponse, id: string): Promise<void> {
  let file: FileHandle;
  try {
    // Before the pipeline, which would close the connection if there were no file.
    file = await open(shop.uploads.pathOf(id));
  } catch (error) {
    if (codeOf(error) === "ENOENT") throw new RequestError(404, "There is no such photo.");
    throw error;
  }
  response.setHeader("content-type", "application/octet-stream");
  try {
    await pipeline(file.createReadStream(), response);
  } finally {
    // A client that has left already: then nothing was read, and nothing closed it.
    await file.close();
  }
}

function sendText(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) });
  response.end(text);
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  sendText(response, status, "application/json", `${JSON.stringify(value)}\n`);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    const status = error instanceof RequestError ? error.status : 500;
    const message = error instanceof Error ? error.message : String(error);
    if (status === 500) process.stderr.write(`shop: ${request.method} ${request.url}: ${message}\n`);
    if (response.headersSent || response.destroyed) response.destroy();
    else sendJson(response, status, { error: status === 500 ? "The shop cannot do that at the moment." : message });
  });
});
server.listen(Number(process.env["SHOP_LISTEN_PORT"] ?? 0), "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object")
    process.stdout.write(`${JSON.stringify({ port: address.port })}\n`);
});
process.once("SIGTERM", () => {
  server.close(() => void shop.close());
  server.closeIdleConnections();
});
