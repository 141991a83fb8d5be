import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";

/** What Node buffers of a body that nobody reads: its stream's buffer and one read of the socket. */
export const bodyAllowance = 2 * 64 * 1024;

/** Memory that a request's head takes, roughly. */
export function headerBytes(request: IncomingMessage): number {
  let size = 1024 + (request.url?.length ?? 0);
  for (const text of request.rawHeaders) size += text.length;
  return size;
}

/** The request target in origin form, as an application expects it (RFC 9112 section 3.2). */
export function targetOf(request: IncomingMessage): string {
  const target = request.url ?? "/";
  if (target.startsWith("/") || target === "*") return target;
  const url = URL.parse(target);
  return url === null ? "/" : `${url.pathname}${url.search}`;
}

/** The request's path without its query. */
export function pathOf(request: IncomingMessage): string {
  const target = targetOf(request);
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

/** True if the path is one of `roots` or below one. */
export function isIn(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => path === root || path.startsWith(root.endsWith("/") ? root : `${root}/`));
}

/** An error page of the gateway's own, in plain text. */
export function errorPage(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? "Error"}\n`;
}

/** Answers with an error of the gateway's own. `close` if the rest of the request's body will not be read. */
export function answerWithError(
  response: ServerResponse,
  status: number,
  close: boolean,
  headers: readonly string[],
): void {
  const body = errorPage(status);
  response.writeHead(status, STATUS_CODES[status] ?? "Error", [
    "Content-Type",
    "text/plain; charset=utf-8",
    "Content-Length",
    String(body.length),
    "Cache-Control",
    "no-store",
    ...headers,
    ...(close ? ["Connection", "close"] : []),
  ]);
  response.end(body);
}
