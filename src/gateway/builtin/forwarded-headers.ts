import type { IncomingMessage } from "node:http";

// RFC 9110 section 7.6.1, and those that RFC 2616 section 13.5.1 named. Transfer-Encoding is set anew on each side.
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

// What a Connection header may not take away: without them the message would be another one.
const neverNamed = new Set(["content-length", "host", "authorization", "cookie", "expect", "date"]);

/** Flat list of names and values without those meant for this connection only. Order and case stay. */
export function endToEndHeaders(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  let named: Set<string> | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const value = rawHeaders[at + 1] ?? "";
    // No hop-by-hop name has another length: the cheap test spares most headers the expensive one.
    const length = name.length;
    if (length !== 2 && length !== 7 && length < 10) {
      kept.push(name, value);
      continue;
    }
    const lowered = name.toLowerCase();
    if (!hopByHop.has(lowered)) {
      kept.push(name, value);
    } else if (lowered === "connection") {
      const token = value.toLowerCase();
      if (token === "keep-alive" || token === "close") continue;
      named ??= new Set();
      for (const part of token.split(",")) named.add(part.trim());
    }
  }
  if (named === undefined) return kept;
  const names = named;
  return kept.filter((_, at) => {
    const name = (kept[at - (at % 2)] ?? "").toLowerCase();
    return !names.has(name) || neverNamed.has(name);
  });
}

export interface ForwardedOptions {
  /** `append` keeps what a proxy in front said and adds the client; `replace` says only what this gateway saw. */
  readonly mode: "append" | "replace";
}

/** The headers of a request as the application gets them, framing included. */
export function upstreamRequestHeaders(request: IncomingMessage, options: ForwardedOptions): string[] {
  const headers = endToEndHeaders(request.rawHeaders);
  const client = request.socket.remoteAddress ?? "unknown";
  let forwardedFor = "";
  let proto = "";
  let forwardedHost = "";
  let host = "";
  let hasHost = false;
  let hasLength = false;
  let kept = 0;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? "";
    const value = headers[at + 1] ?? "";
    let drop = false;
    switch (name.length) {
      case 4:
        if (name.toLowerCase() === "host") {
          // Two of them, and we and the application might not take the same one.
          if (hasHost) throw new TypeError("The request has more than one Host header.");
          hasHost = true;
          host = value;
        }
        break;
      case 9:
        drop = options.mode === "replace" && name.toLowerCase() === "forwarded";
        break;
      case 14:
        if (name.toLowerCase() === "content-length") hasLength = true;
        break;
      case 15:
        if (name.toLowerCase() === "x-forwarded-for") {
          drop = true;
          forwardedFor = forwardedFor === "" ? value : `${forwardedFor}, ${value}`;
        }
        break;
      case 16:
        if (name.toLowerCase() === "x-forwarded-host") {
          drop = true;
          forwardedHost = value;
        }
        break;
      case 17:
        if (name.toLowerCase() === "x-forwarded-proto") {
          drop = true;
          proto = value;
        }
        break;
    }
    if (drop) continue;
    headers[kept] = name;
    headers[kept + 1] = value;
    kept += 2;
  }
  headers.length = kept;
  // HTTP/1.0 needs none, HTTP/1.1 towards the application does.
  if (!hasHost) headers.push("Host", "localhost");
  const append = options.mode === "append";
  headers.push("X-Forwarded-For", append && forwardedFor !== "" ? `${forwardedFor}, ${client}` : client);
  headers.push("X-Forwarded-Proto", append && proto !== "" ? proto : "http");
  headers.push("X-Forwarded-Host", append && forwardedHost !== "" ? forwardedHost : host);
  if (hasChunkedBody(request)) headers.push("Transfer-Encoding", "chunked");
  // Without it, Node would send an empty chunked body for methods that usually have one.
  else if (!hasLength && request.method !== "GET" && request.method !== "HEAD") headers.push("Content-Length", "0");
  if (/\btrailers\b/i.test(String(request.headers.te ?? ""))) {
    headers.push("TE", "trailers", "Connection", "TE, keep-alive");
  }
  return headers;
}

/** True if the request's body is chunked. */
export function hasChunkedBody(request: IncomingMessage): boolean {
  return request.headers["transfer-encoding"] !== undefined;
}

/** True if the request has a body that must be read. */
export function hasBody(request: IncomingMessage): boolean {
  const length = request.headers["content-length"];
  return (length !== undefined && length !== "0") || hasChunkedBody(request);
}

/** Pairs of names and values of a flat list. */
export function headerPairs(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at < flat.length; at += 2) pairs.push([flat[at] ?? "", flat[at + 1] ?? ""]);
  return pairs;
}
