import type { ServerResponse } from "node:http";
import { type Operation, summaryTrailer } from "../../contract/index.ts";

const securityHeaders = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
} as const;

export function writeJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  writeText(response, status, "application/json", JSON.stringify(body), headers);
}

export function writeText(
  response: ServerResponse,
  status: number,
  type: string,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(text);
  response.writeHead(status, {
    ...securityHeaders,
    "content-type": type.startsWith("text/") ? `${type}; charset=utf-8` : type,
    "content-length": bytes.length,
    ...headers,
  });
  // Node leaves the body out of an answer to HEAD.
  response.end(bytes);
}

/**
 * Writes what a handler handed back. Lines are written as they come, no faster than they are read.
 * @param headers for pages
 */
export async function writeAnswer(
  response: ServerResponse,
  answer: Operation["answer"],
  result: unknown,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  if ("shape" in answer) writeJson(response, answer.status, result, headers);
  else if ("text" in answer) writeText(response, answer.status, answer.text, String(result), headers);
  else if ("bytes" in answer) await writeBytes(response, answer.bytes, result as ByteResult);
  else if ("lines" in answer) await writeLines(response, result as AsyncIterable<unknown>);
  else response.writeHead(answer.status, securityHeaders).end();
}

interface ByteResult {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly summary: () => unknown;
}

/** For how long a client may take nothing of what it asked for. */
const longestStallMs = 120_000;

/** One that breaks off has no end: the client sees that it is not whole. */
async function writeBytes(response: ServerResponse, type: string, { bytes, summary }: ByteResult): Promise<void> {
  response.writeHead(200, { ...securityHeaders, "content-type": type, trailer: summaryTrailer });
  if (response.req.method === "HEAD") {
    // Begun and let go of, so that what is open for it is closed.
    for await (const _ of bytes) break;
    response.end();
    return;
  }
  response.setTimeout(longestStallMs, () => response.destroy());
  for await (const chunk of bytes) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await drained(response);
  }
  if (response.destroyed) return;
  response.addTrailers({ [summaryTrailer]: Buffer.from(JSON.stringify(summary())).toString("base64") });
  response.end();
}

/** Resolves when more can be written, or nobody takes it any more. */
async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

async function writeLines(response: ServerResponse, lines: AsyncIterable<unknown>): Promise<void> {
  response.writeHead(200, { ...securityHeaders, "content-type": "application/x-ndjson", "x-accel-buffering": "no" });
  response.flushHeaders();
  if (response.req.method === "HEAD") {
    response.end();
    return;
  }
  for await (const line of lines) {
    if (response.destroyed) return;
    if (!response.write(`${JSON.stringify(line)}\n`)) await drained(response);
  }
  response.end();
}
