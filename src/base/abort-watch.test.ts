import { expect, test } from "vitest";
import { AbortWatch } from "./abort-watch.ts";
import { HoldfastError } from "./errors.ts";

test("throws from the abort on, of a joined signal too, and of one that was aborted before", () => {
  const controller = new AbortController();
  const joined = AbortSignal.any([controller.signal, new AbortController().signal]);
  using watch = new AbortWatch(joined);
  watch.check();
  controller.abort();
  expect(() => watch.check()).toThrow(expect.objectContaining({ code: "INTERRUPTED" }));
  using late = new AbortWatch(joined);
  expect(() => late.check()).toThrow(HoldfastError);
});

test("throws the reason if that says more", () => {
  const controller = new AbortController();
  using watch = new AbortWatch(controller.signal);
  const reason = new HoldfastError("INTERNAL", "The lock was lost.");
  controller.abort(reason);
  expect(() => watch.check()).toThrow(reason);
});
