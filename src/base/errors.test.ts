import { describe, expect, it } from "vitest";
import { HoldfastError, isHoldfastError, messageOf, systemErrorCode, throwIfAborted } from "./errors.ts";

describe("errors", () => {
  it("carry code, facts, remedy, cause, and what the table says of the code", () => {
    const cause = new Error("below");
    const error = new HoldfastError("REPOSITORY_LOCKED", "locked", { facts: { pid: 7 }, remedy: "wait", cause });
    expect(error).toMatchObject({ code: "REPOSITORY_LOCKED", facts: { pid: 7 }, remedy: "wait", cause });
    expect(error.info).toMatchObject({ exit: 11, retry: "later" });
    expect(isHoldfastError(error)).toBe(true);
    expect(isHoldfastError(error, "STORAGE_FULL")).toBe(false);
    expect(isHoldfastError(cause)).toBe(false);
  });

  it("tell a system's code from ours", () => {
    expect(systemErrorCode(Object.assign(new Error("no"), { code: "ENOENT" }))).toBe("ENOENT");
    expect(systemErrorCode(new HoldfastError("INTERNAL", "no"))).toBeUndefined();
    expect(systemErrorCode("ENOENT")).toBeUndefined();
    expect(messageOf("text")).toBe("text");
  });

  it("of an aborted signal are its own reason, or INTERRUPTED", () => {
    expect(() => throwIfAborted(undefined)).not.toThrow();
    expect(() => throwIfAborted(new AbortController().signal)).not.toThrow();
    expect(() => throwIfAborted(AbortSignal.abort())).toThrow(expect.objectContaining({ code: "INTERRUPTED" }));
    const reason = new HoldfastError("HOLD_LOST", "lost");
    expect(() => throwIfAborted(AbortSignal.abort(reason))).toThrow(reason);
  });
});
