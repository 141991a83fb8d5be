import type { OpenCatalog } from "../../../src/control/index.ts";

const writes = new Set(["insert", "setStatus", "remove", "operationFinished", "setEnvironmentStatus"]);
const queueWrites = new Set(["report", "end", "release", "renew"]);

type Call = (...args: unknown[]) => unknown;

/** The catalog, with `step` called before and after each call of a worker that changes it, and after each claim. */
export function countCatalog(catalog: OpenCatalog, step: () => void): OpenCatalog {
  const queue = wrapped(catalog.queue, (name, call) => {
    if (queueWrites.has(name)) return counted(call, step);
    if (name !== "claim") return call;
    return async (...args) => {
      const claim = await call(...args);
      // Asking in vain changes nothing.
      if (claim !== undefined) step();
      return claim;
    };
  });
  return wrapped(
    catalog,
    (name, call) => (writes.has(name) ? counted(call, step) : call),
    (name, value) => (name === "queue" ? queue : value),
  );
}

function counted(call: Call, step: () => void): Call {
  return async (...args) => {
    step();
    const value = await call(...args);
    step();
    return value;
  };
}

function wrapped<T extends object>(
  target: T,
  wrap: (name: string, call: Call) => Call,
  property: (name: string, value: unknown) => unknown = (_name, value) => value,
): T {
  return new Proxy(target, {
    get: (_, key) => {
      // Called on the target itself, whose private fields a proxy does not have.
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value === "function") return wrap(String(key), (value as Call).bind(target));
      return property(String(key), value);
    },
  });
}
