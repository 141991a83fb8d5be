/** An error reply: "-NOPERM this user has no permissions ...". */
export class RespError {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
  /** "NOPERM", "WRONGPASS", "ERR". */
  get prefix(): string {
    return this.message.split(" ", 1)[0] ?? "";
  }
}

/** A reply of RESP version 2: simple strings as text, bulk strings as bytes. */
export type RespReply = string | number | Buffer | null | RespError | readonly RespReply[];

/** A reply as text; lists and nil as JSON. */
export function replyText(reply: RespReply | undefined): string {
  if (Buffer.isBuffer(reply)) return reply.toString();
  if (reply instanceof RespError) return reply.message;
  return typeof reply === "string" ? reply : JSON.stringify(reply ?? null);
}

const incomplete = Symbol("incomplete");

/** Replies within replies; a server nests two or three deep. */
const maxDepth = 32;

/** Cuts a byte stream into replies; SyntaxError for what is none. https://redis.io/docs/latest/develop/reference/protocol-spec/ */
export class RespParser {
  #buffer: Buffer = Buffer.alloc(0);
  #parts: Buffer[] = [];
  #wanted = 0;
  #size = 0;
  #at = 0;

  /** Whole replies as far as they have arrived. */
  push(chunk: Buffer): RespReply[] {
    this.#parts.push(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#wanted) return [];
    this.#buffer = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts);
    this.#at = 0;
    this.#wanted = 0;
    const replies: RespReply[] = [];
    let end = 0;
    for (;;) {
      const reply = this.#reply();
      if (reply === incomplete) break;
      replies.push(reply);
      end = this.#at;
    }
    const rest = this.#buffer.subarray(end);
    this.#parts = rest.length === 0 ? [] : [rest];
    this.#size = rest.length;
    this.#wanted = Math.max(0, this.#wanted - end);
    return replies;
  }

  /** Bytes that belong to no whole reply yet; the parser is empty afterwards. */
  takeRest(): Buffer {
    const rest = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#size = 0;
    return rest;
  }

  #reply(depth = 0): RespReply | typeof incomplete {
    const end = this.#buffer.indexOf("\r\n", this.#at);
    if (end === -1) return incomplete;
    const kind = this.#buffer[this.#at];
    const line = this.#buffer.toString("utf8", this.#at + 1, end);
    this.#at = end + 2;
    switch (kind ?? 0) {
      case 0x2b:
        return line;
      case 0x2d:
        return new RespError(line);
      case 0x3a:
        return Number(line);
      case 0x24:
        return this.#bulk(lengthOf(line));
      case 0x2a:
        if (depth === maxDepth) throw new SyntaxError("The answer has lists in lists without end.");
        return this.#array(lengthOf(line), depth + 1);
      default:
        throw new SyntaxError(`The answer is not in Redis' protocol: byte ${kind ?? "none"} at the start of a reply.`);
    }
  }

  #bulk(length: number): Buffer | null | typeof incomplete {
    if (length === -1) return null;
    const end = this.#at + length;
    if (this.#buffer.length < end + 2) {
      this.#wanted = end + 2;
      return incomplete;
    }
    const bytes = this.#buffer.subarray(this.#at, end);
    this.#at = end + 2;
    return bytes;
  }

  #array(length: number, depth: number): readonly RespReply[] | null | typeof incomplete {
    if (length === -1) return null;
    const items: RespReply[] = [];
    for (let index = 0; index < length; index += 1) {
      const item = this.#reply(depth);
      if (item === incomplete) return incomplete;
      items.push(item);
    }
    return items;
  }
}

/** The length of a bulk string or list, -1 for nil. */
function lengthOf(line: string): number {
  const length = /^(?:-1|\d{1,15})$/.test(line) ? Number(line) : Number.NaN;
  if (Number.isNaN(length)) throw new SyntaxError(`The answer is not in Redis' protocol: "${line}" as a length.`);
  return length;
}

const crlf = Buffer.from("\r\n");

/** A command as RESP sends it, in pieces to be joined. */
export function commandParts(args: readonly (string | Uint8Array)[]): Uint8Array[] {
  const parts: Uint8Array[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = typeof arg === "string" ? Buffer.from(arg) : arg;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, crlf);
  }
  return parts;
}
